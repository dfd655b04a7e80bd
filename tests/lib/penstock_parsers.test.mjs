// The parsers of penstock.js, by `node --test`.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  EventStreamParser, readBatch, readFrame, written,
} from '../../src/client/penstock.js';

// --- text/event-stream --------------------------------------------------------

function parse(pieces) {
  const blocks = [], retries = [];
  const parser = new EventStreamParser(b => blocks.push(b), ms => retries.push(ms));
  for (const piece of pieces) parser.push(piece);
  return { blocks, retries };
}

// The same blocks whole, one character at a time, and cut in two anywhere.
function same(text, expected, retries = []) {
  const cuts = [[text], [...text]];
  for (let i = 0; i <= text.length; i++)
    cuts.push([text.slice(0, i), text.slice(i)]);
  for (const pieces of cuts)
    assert.deepEqual(parse(pieces), { blocks: expected, retries },
      JSON.stringify(pieces));
}

test('the examples of the standard', () => {
  same('data: YHOO\ndata: +2\ndata: 10\n\n', [{ data: 'YHOO\n+2\n10' }]);
  same(': test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\n' +
    'data:  third event\n\n',
  [{ data: 'first event', id: '1' }, { data: 'second event', id: '' },
    { data: ' third event' }]);
  same('data\n\ndata\ndata\n\ndata:', [{ data: '' }, { data: '\n' }]);
  same('data:test\n\ndata: test\n\n', [{ data: 'test' }, { data: 'test' }]);
});

test('CR, LF and CRLF end a line, however they are cut and mixed', () => {
  const expected = [{ id: '1', type: 'a', data: 'x\ny' }, { data: 'z' }];
  for (const end of ['\n', '\r', '\r\n'])
    same(['id: 1', 'event: a', 'data: x', 'data: y', '', 'data: z', '', '']
      .join(end), expected);
  same('id: 1\revent: a\r\ndata: x\ndata: y\r\n\rdata: z\n\r\n', expected);
  same('data: x\r\n\r\n\r\n\n\rdata: y\r\r', [{ data: 'x' }, { data: 'y' }]);
});

test('a block of an id alone is told, one of a type alone is not', () => {
  same('id: 7\n\nevent: a\n\n:\n\n', [{ id: '7' }]);
});

test('an id with NUL is none', () => {
  same('id: a\0b\ndata: x\n\n', [{ data: 'x' }]);
});

test('retry takes digits only', () => {
  same('retry: 250\nretry: 1e3\nretry: -1\nretry:\nretry: 9x\n\n', [], [250]);
});

test('unknown fields, comments and fields without a colon are passed over', () => {
  same('color: red\n:data: no\ndat: a\ndata: x\nDATA: y\n\n', [{ data: 'x' }]);
});

test('what the stream ends in the middle of is dropped', () => {
  same('data: x\n\ndata: y\n', [{ data: 'x' }]);
});

test('a BOM, and characters cut anywhere, by TextDecoder', () => {
  const octets = new TextEncoder().encode('\ufeffdata: \u00e9\u20ac\u{1f600}\ufeff\n\n');
  for (let i = 0; i <= octets.length; i++) {
    const decoder = new TextDecoder();
    assert.deepEqual(parse([octets.slice(0, i), octets.slice(i)]
      .map(o => decoder.decode(o, { stream: true }))).blocks,
    [{ data: '\u00e9\u20ac\u{1f600}\ufeff' }]);
  }
});

test('sixteen MiB in one line take about as long as their octets', () => {
  const piece = 'x'.repeat(16384), pieces = ['data: '];
  for (let i = 0; i < 1024; i++) pieces.push(piece);
  const began = performance.now();
  const { blocks } = parse([...pieces, '\n', '\n']);
  assert.equal(blocks[0].data.length, 16384 * 1024);
  assert.ok(performance.now() - began < 3000);
});

// --- JSON, as it is written ---------------------------------------------------

const RAW = [
  '1', '-0', '1E400', '9007199254740993', 'true', 'null', '[]', '{}', '[ 1,2 ]',
  '{"b":1,"a":{"c":[{"d":"}]\\"\\\\"}]},"__proto__":2}', '[[["]"]],"\\\\"]',
  '{"data":"inner","id":"x"}', '[1.50, 2e+1]', '{"\\u0061":"\\u0062"}',
];

test('data comes out of a frame as it was written', () => {
  for (const raw of RAW)
    for (const text of [`{"id":"e-1","event":"a","data":${raw},"time":"t"}`,
      ` { "data" : ${raw} , "event" : "a" , "id" : "e-1" } `])
      assert.deepEqual(readFrame(text), { id: 'e-1', type: 'a', data: raw }, text);
});

test('text comes out of a frame as it was meant', () => {
  for (const text of ['', 'a', '"', '\\', '\\"', '{"data":1}', '\u2028\n\0'])
    assert.equal(readFrame(JSON.stringify({ id: '1', data: text })).data, text);
});

test('the type is message unless another is given', () => {
  assert.equal(readFrame('{"id":"e-1","data":1}').type, 'message');
  assert.equal(readFrame('{"id":"e-1","event":"message","data":1}').type, 'message');
});

test('a gap and a position are no messages', () => {
  assert.deepEqual(readFrame('{"gap":{"from":null,"to":"e-2"}}'),
    { gap: { from: null, to: 'e-2' } });
  assert.deepEqual(readFrame('{"next":"e-0"}'), { next: 'e-0' });
});

test('what is no envelope throws', () => {
  for (const text of ['', '{', 'null', '1', '"x"', 'hello'])
    assert.throws(() => readFrame(text), undefined, text);
});

test('a batch keeps the data of each of its messages', () => {
  const elements = RAW.map((raw, i) =>
    `{"id":"e-${i + 1}","event":"message","data":${raw},"time":"t"}`);
  for (const comma of [',', ' ,\n'])
    assert.deepEqual(
      readBatch(`{"gap":true,"messages":[${elements.join(comma)}],"next":"e-9"}`),
      { gap: true, next: 'e-9', messages: RAW.map((data, i) =>
        ({ id: `e-${i + 1}`, type: 'message', data })) });
});

test('what is JSON but no batch is null', () => {
  for (const text of ['1', 'null', '[]', '{}', '{"messages":1}'])
    assert.equal(readBatch(text), null);
});

test('written() finds values by name and by index', () => {
  assert.deepEqual([...written('{"a":1,"b":[2, 3],"":{}}')],
    [['a', '1'], ['b', '[2, 3]'], ['', '{}']]);
  assert.deepEqual([...written('[1, "a,]", [2]]')],
    [[0, '1'], [1, '"a,]"'], [2, '[2]']]);
  assert.deepEqual([...written(' [ ] ')], []);
});

test('a string of a MiB of backslashes does not take for ever', () => {
  const data = '\\'.repeat(1 << 20), text = JSON.stringify([[data, '"']]);
  const began = performance.now();
  assert.deepEqual([...written(text)], [[0, text.slice(1, -1)]]);
  assert.ok(performance.now() - began < 2000);
});
