// What penstock.js offers; README.md says how it behaves.

export type TransportName = 'websocket' | 'sse' | 'longpoll' | 'poll';

export interface PenstockOptions {
  /** What to try, the best first.  All four, in the order of the type, unless
   *  told: then a route with "transports": "auto" says which suits, and the
   *  client moves to that one. */
  transports?: TransportName[];
  /** On a multiplexed route: the channels to read.  Their messages have a
   *  member `channel`. */
  channels?: Iterable<string>;
  /** Where to begin: an id, "now", "oldest", or "-N" for the last N messages.
   *  Unless told, where the route says; polls begin now. */
  since?: string;
  /** ms between polls.  Unless told, as the route advises, or the answer's
   *  max-age, or 5000. */
  pollInterval?: number;
  /** Send cookies to other origins, too. */
  withCredentials?: boolean;
  /** For every request.  Browsers send none with a WebSocket. */
  headers?: Record<string, string>;
  /** ms from which the first pause before connecting again is drawn; it
   *  doubles with each failure, up to 30 s.  1000, or what the server says. */
  retry?: number;
  /** ms in which a transport has to show that it works.  10000. */
  timeout?: number;
  /** ms until a better transport is tried again.  60000; it doubles. */
  upgrade?: number;
  /** ms within which it moves, at random, once a route says that another
   *  transport suits.  10000. */
  move?: number;
  /** A class like that of browsers, such as the package ws for older nodes. */
  WebSocket?: unknown;
  fetch?: typeof fetch;
}

/** Something failed.  readyState says whether it is tried again. */
export interface PenstockErrorEvent extends Event {
  readonly message: string;
  /** The one that failed; null if it was send(). */
  readonly transport: TransportName | null;
  /** Of the HTTP answer, if there was one. */
  readonly status?: number;
  /** Of the WebSocket's close. */
  readonly code?: number;
  /** ms that the server asked us to stay away. */
  readonly delay?: number;
}

/** Another transport is in use from here on. */
export interface PenstockTransportEvent extends Event {
  readonly transport: TransportName;
}

/** Messages after `from` and before `to` are lost; null is not known. */
export interface PenstockGapEvent extends Event {
  readonly from: string | null;
  readonly to: string | null;
  /** Of several: those that lost something, where that is known. */
  readonly channels?: string[];
}

/** The backend is lost for a while, so that what came last may be old; or it is
 *  back.  Polls tell nothing of it. */
export interface PenstockStaleEvent extends Event {
  readonly stale: boolean;
  /** On a multiplexed route: whose backend it is. */
  readonly channel?: string;
}

/** On a multiplexed route it says whose it is. */
export interface PenstockMessageEvent extends MessageEvent<string> {
  readonly channel?: string;
}

export interface PenstockEventMap {
  open: Event;
  message: PenstockMessageEvent;
  error: PenstockErrorEvent;
  transport: PenstockTransportEvent;
  gap: PenstockGapEvent;
  stale: PenstockStaleEvent;
}

type Handler<E> = ((this: Penstock, event: E) => unknown) | null;
type Listener<E> =
  | ((this: Penstock, event: E) => unknown)
  | { handleEvent(event: E): unknown };

export class Penstock extends EventTarget {
  static readonly CONNECTING: 0;
  static readonly OPEN: 1;
  static readonly CLOSED: 2;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSED: 2;

  constructor(url: string | URL, options?: PenstockOptions);

  readonly url: string;
  readonly readyState: 0 | 1 | 2;
  readonly withCredentials: boolean;
  /** In use; null while there is none. */
  readonly transport: TransportName | null;
  /** On a multiplexed route: those that are read; else null. */
  readonly channels: string[] | null;
  /** The last id: `since` of another client that goes on from here. */
  readonly cursor: string | null;

  onopen: Handler<Event>;
  onmessage: Handler<PenstockMessageEvent>;
  onerror: Handler<PenstockErrorEvent>;
  ontransport: Handler<PenstockTransportEvent>;
  ongap: Handler<PenstockGapEvent>;
  onstale: Handler<PenstockStaleEvent>;

  close(): void;
  /** A frame over WebSocket, else a POST to the url.  Whether it was handed
   *  over; if not, an error event says why.  It never rejects. */
  send(data: string | ArrayBuffer | ArrayBufferView | Blob,
    channel?: string): Promise<boolean>;
  /** Reads one more channel, from `since` or where the route begins. */
  subscribe(channel: string, since?: string): void;
  unsubscribe(channel: string): void;

  addEventListener<K extends keyof PenstockEventMap>(
    type: K, listener: Listener<PenstockEventMap[K]>,
    options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: Listener<PenstockMessageEvent>,
    options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof PenstockEventMap>(
    type: K, listener: Listener<PenstockEventMap[K]>,
    options?: boolean | EventListenerOptions): void;
  removeEventListener(type: string, listener: Listener<PenstockMessageEvent>,
    options?: boolean | EventListenerOptions): void;
}

export default Penstock;
