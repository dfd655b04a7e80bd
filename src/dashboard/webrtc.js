// webrtc.js - a fifth lane for the race, where the WebRTC example's signalling
// channel is there: what the WebSocket has brought goes on from one peer to
// another over a data channel, as it would to the browser beside this one.
import { ask, authorization, subprotocols } from './live.js';
import { Penstock } from './penstock.js';

// The route that can introduce two browsers; null where there is none.
export function signalRoute(routes) {
  return routes.find(({ said }) => said.source === 'publish' &&
    said.receive === 'channel' && /^signal\/\{\w+\}$/.test(said.channel ?? '')) ?? null;
}

class Socket extends WebSocket {
  constructor(url, protocols) {
    super(url, [...protocols, ...subprotocols()]);
  }
}

export class WebRtcLink {
  #peers = []; #channel = null; #signals; #name; #tell;

  // tell: {state(text), message(id, octets)}
  constructor(route, tell) {
    const room = `dashboard-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`;
    this.#tell = tell;
    this.#name = route.said.channel.replace(/\{\w+\}/, room);
    this.#signals = new Penstock(`/race/websocket/${this.#name}`, {
      transports: ['websocket', 'sse'], since: 'now', WebSocket: Socket,
      headers: authorization() });
    this.#signals.onmessage = e => this.#take(JSON.parse(e.data));
    this.#signals.onopen = () => this.#call();
    tell.state('introducing');
  }

  // Two peers, which know of each other only what the channel brings.
  #call() {
    if (this.#peers.length > 0) return;
    this.#peers = [0, 1].map(from => {
      const peer = new RTCPeerConnection();
      peer.onicecandidate = e => e.candidate && this.#say({ from, ice: e.candidate });
      peer.onconnectionstatechange = () => this.#tell.state(
        peer.connectionState === 'connected' ? 'one hop more'
          : peer.connectionState);
      peer.waiting = [];
      return peer;
    });
    this.#channel = this.#peers[0].createDataChannel('race',
      { ordered: false, maxRetransmits: 0 });
    this.#peers[1].ondatachannel = ({ channel }) => {
      channel.onmessage = ({ data }) => {
        const id = data.slice(0, data.indexOf('\n'));
        this.#tell.message(id, data.length - id.length - 1);
      };
    };
    this.#describe(0, this.#peers[0].createOffer()).catch(
      e => this.#tell.state(e.message));
  }

  #say(what) {
    return ask(`/channels/${this.#name}`, { method: 'POST',
      headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(what) });
  }

  async #describe(from, description) {
    await this.#peers[from].setLocalDescription(await description);
    await this.#say({ from, sdp: this.#peers[from].localDescription });
  }

  async #take({ from, sdp, ice }) {
    const to = 1 - from, peer = this.#peers[to];
    if (!peer) return;
    if (ice && !peer.remoteDescription) peer.waiting.push(ice);
    else if (ice) await peer.addIceCandidate(ice).catch(() => {});
    if (!sdp) return;
    await peer.setRemoteDescription(sdp);
    for (const candidate of peer.waiting.splice(0))
      await peer.addIceCandidate(candidate).catch(() => {});
    if (sdp.type === 'offer') await this.#describe(to, peer.createAnswer());
  }

  send(id, data) {
    if (this.#channel?.readyState === 'open' && data.length < 60_000)
      this.#channel.send(`${id}\n${data}`);
  }

  close() {
    this.#signals.close();
    for (const peer of this.#peers) peer.close();
  }
}
