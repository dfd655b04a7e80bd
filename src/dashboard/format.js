// format.js - numbers as people read them, and elements made in one line.

export const TRANSPORTS = ['websocket', 'sse', 'longpoll', 'poll'];
export const NAMES = {
  websocket: 'WebSocket', sse: 'SSE', longpoll: 'long poll', poll: 'poll',
  webrtc: 'WebRTC', proxy: 'proxy', other: 'other',
};

// h('td', {class: 'n'}, 'text', element): children may be text; attributes that
// are null are left out, onclick and the like are listeners.
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key in element && typeof value === 'boolean') element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter(c => c !== null && c !== undefined));
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes))
    element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Sets text only where it differs: most of a page stays as it is.
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Three digits, and a letter for thousands.
export function count(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return '–';
  if (n === 0) return '0';
  const size = Math.abs(n);
  for (const [unit, name] of [[1e9, ' G'], [1e6, ' M'], [1e4, ' k']])
    if (size >= unit) return digits(n / (unit === 1e4 ? 1e3 : unit)) + name;
  return digits(n);
}

export function digits(n) {
  const size = Math.abs(n);
  if (size >= 100 || Number.isInteger(n)) return String(Math.round(n));
  if (size >= 10) return n.toFixed(1).replace(/\.0$/, '');
  if (size >= 0.1) return n.toFixed(2).replace(/\.?0+$/, '');
  return size < 0.001 ? '~0' : n.toPrecision(1);
}

export function bytes(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return '–';
  for (const [unit, name] of [[2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB']])
    if (n >= unit) return `${digits(n / unit)} ${name}`;
  return `${digits(n)} B`;
}

export function ms(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return '–';
  if (n >= 60_000) return `${digits(n / 60_000)} min`;
  if (n >= 1000) return `${digits(n / 1000)} s`;
  if (n >= 1 || n === 0) return `${digits(n)} ms`;
  return `${digits(n * 1000)} µs`;
}

export const us = n => n === null || n === undefined ? '–' : ms(n / 1000);

// How often, in the unit that makes it a number that one can picture.
export function rate(per_s) {
  if (per_s === null || per_s === undefined) return '–';
  if (per_s === 0) return '0';
  if (per_s >= 1) return `${count(per_s)}/s`;
  if (per_s * 60 >= 1) return `${digits(per_s * 60)}/min`;
  if (per_s * 3600 >= 1) return `${digits(per_s * 3600)}/h`;
  return `${digits(per_s * 86400)}/day`;
}

export function duration(s) {
  const d = Math.floor(s / 86400), hours = Math.floor(s / 3600) % 24;
  const minutes = Math.floor(s / 60) % 60;
  if (d > 0) return `${d} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  if (minutes > 0) return `${minutes} min ${Math.floor(s % 60)} s`;
  return `${Math.floor(s)} s`;
}

// Coefficient of variation of the time between two messages.
export function burstiness(b) {
  if (b === null || b === undefined) return 'unknown yet';
  const word = b < 0.3 ? 'regular' : b < 1.5 ? 'random' : 'in bursts';
  return `${word} (${digits(b)})`;
}
