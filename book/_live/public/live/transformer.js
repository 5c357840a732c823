/* A causal transformer in plain JavaScript: lmlib in another language. Read
   `Reader.read` beside `attention` in lmlib/attention.py and `apply_rotary` in
   lmlib/positions.py. `model.js` brings the weights. */
globalThis.LIVE = globalThis.LIVE || {};
(() => {
  "use strict";

  const START = 0; // the byte that stood before every document in training

  /* Lets the page answer to what has happened meanwhile. A timer would do, and wait for
     4 ms each time. */
  const pause = () => new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });

  /* `pack` of train.py wrote vectors and row scales in bfloat16, then rows of int8.
     A pause after each matrix lets the page scroll meanwhile. */
  async function unpack({ shapes, data }) {
    const text = atob(data), bytes = new Uint8Array(text.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
    const names = Object.keys(shapes);
    const vectors = names.filter((name) => shapes[name].length === 1);
    const matrices = names.filter((name) => shapes[name].length === 2);
    const weights = {}, scales = {};
    let at = 0;
    // A bfloat16 is the upper half of a float32.
    const halves = (count) => {
      const taken = new Uint16Array(bytes.buffer, at, count);
      at += 2 * count;
      return new Float32Array(Uint32Array.from(taken, (h) => h << 16).buffer);
    };
    for (const name of vectors) weights[name] = halves(shapes[name][0]);
    for (const name of matrices) scales[name] = halves(shapes[name][0]);
    for (const name of matrices) {
      const [rows, columns] = shapes[name];
      const taken = new Int8Array(bytes.buffer, at, rows * columns);
      at += taken.length;
      weights[name] = new Float32Array(taken);
      for (let row = 0, i = 0; row < rows; row++)
        for (const end = i + columns; i < end; i++) weights[name][i] *= scales[name][row];
      await pause();
    }
    return weights;
  }

  /* y = W x. Row i of W makes feature i of y, as in torch's nn.Linear. Four sums side
     by side, for one would have to wait for itself: that is three times as fast. */
  function linear(matrix, x) {
    const n = x.length; // a multiple of 4
    const y = new Float64Array(matrix.length / n);
    for (let i = 0, at = 0; i < y.length; i++) {
      let a = 0, b = 0, c = 0, d = 0;
      for (let j = 0; j < n; j += 4, at += 4) {
        a += matrix[at] * x[j];
        b += matrix[at + 1] * x[j + 1];
        c += matrix[at + 2] * x[j + 2];
        d += matrix[at + 3] * x[j + 3];
      }
      y[i] = a + b + c + d;
    }
    return y;
  }

  function layerNorm(x, gain, bias) {
    const n = x.length;
    let mean = 0, variance = 0;
    for (let i = 0; i < n; i++) mean += x[i] / n;
    for (let i = 0; i < n; i++) variance += (x[i] - mean) ** 2 / n;
    const scale = 1 / Math.sqrt(variance + 1e-5);
    const y = new Float64Array(n);
    for (let i = 0; i < n; i++) y[i] = (x[i] - mean) * scale * gain[i] + bias[i];
    return y;
  }

  /* Rotary positions: turn feature pair i of every head by position · base^(−2i/d).
     `turns` has the cosines and sines of one position. */
  function turnsAt(position, dHead) {
    const turns = new Float64Array(dHead);
    for (let i = 0; i < dHead; i += 2) {
      const angle = position * 10000 ** (-i / dHead);
      turns[i] = Math.cos(angle);
      turns[i + 1] = Math.sin(angle);
    }
    return turns;
  }

  function rotate(x, turns) {
    for (let i = 0; i < x.length; i += 2) {
      const cos = turns[i % turns.length], sin = turns[(i % turns.length) + 1];
      const first = x[i], second = x[i + 1];
      x[i] = first * cos - second * sin;
      x[i + 1] = first * sin + second * cos;
    }
    return x;
  }

  /* softmax(query · keysᵀ / √d_head) · values for one query, head by head. Row `from`
     is the first that it sees, row `to` − 1 its own. The future needs no mask here: its
     keys do not exist yet. */
  function attend(query, keys, values, from, to, dHead) {
    const n = query.length;
    const output = new Float64Array(n);
    const weights = new Float64Array(to - from);
    for (let head = 0; head < n; head += dHead) {
      let largest = -Infinity, total = 0;
      for (let k = 0, at = from * n + head; k < weights.length; k++, at += n) {
        let a = 0, b = 0, c = 0, d = 0; // side by side, as in `linear`
        for (let i = 0; i < dHead; i += 4) {
          a += query[head + i] * keys[at + i];
          b += query[head + i + 1] * keys[at + i + 1];
          c += query[head + i + 2] * keys[at + i + 2];
          d += query[head + i + 3] * keys[at + i + 3];
        }
        weights[k] = (a + b + c + d) / Math.sqrt(dHead);
        if (weights[k] > largest) largest = weights[k];
      }
      for (let k = 0; k < weights.length; k++) {
        weights[k] = Math.exp(weights[k] - largest);
        total += weights[k];
      }
      for (let i = head; i < head + dHead; i += 4) {
        let a = 0, b = 0, c = 0, d = 0;
        for (let k = 0, at = from * n + i; k < weights.length; k++, at += n) {
          a += weights[k] * values[at];
          b += weights[k] * values[at + 1];
          c += weights[k] * values[at + 2];
          d += weights[k] * values[at + 3];
        }
        output[i] = a / total;
        output[i + 1] = b / total;
        output[i + 2] = c / total;
        output[i + 3] = d / total;
      }
    }
    return output;
  }

  /* An array that has room for `size` numbers, with what is in `rows`. */
  function grown(rows, size) {
    if (size <= rows.length) return rows;
    const larger = new Float64Array(2 * size);
    larger.set(rows);
    return larger;
  }

  /* −log₂ softmax(logits): the price in bits of every byte that could come next. */
  function prices(logits) {
    let largest = -Infinity, total = 0;
    for (const logit of logits) if (logit > largest) largest = logit;
    for (const logit of logits) total += Math.exp(logit - largest);
    const shift = largest + Math.log(total);
    return logits.map((logit) => (shift - logit) / Math.LN2);
  }

  /* Reads a text byte by byte and remembers the keys and values of what it has read
     (the "KV cache"), so that a new letter costs one step, wherever the text began. */
  class Reader {
    constructor(model, weights) {
      this.weights = weights;
      this.window = model.config.window;
      this.dModel = model.config.d_model;
      this.dHead = this.dModel / model.config.n_heads;
      this.cache = Array.from({ length: model.config.n_layers }, () =>
        ({ keys: new Float64Array(0), values: new Float64Array(0) })); // rows
      this.bytes = []; // what has been read
      this.next = []; // next[i]: the price of every byte at place i, before it came
      this.read(START);
    }

    read(byte) {
      const w = this.weights, n = this.dModel;
      const position = this.next.length;
      const from = Math.max(0, position + 1 - this.window);
      const turns = turnsAt(position, this.dHead);
      const embedding = w["embedding.weight"];
      const x = Float64Array.from(embedding.subarray(byte * n, (byte + 1) * n));
      const add = (y) => { for (let i = 0; i < n; i++) x[i] += y[i]; };
      this.cache.forEach((cache, layer) => {
        const of = (name) => w[`blocks.${layer}.${name}`];
        let h = layerNorm(x, of("norm1.weight"), of("norm1.bias"));
        const query = rotate(linear(of("attention.query.weight"), h), turns);
        for (const name of ["keys", "values"])
          cache[name] = grown(cache[name], (position + 1) * n);
        cache.keys.set(rotate(linear(of("attention.key.weight"), h), turns), position * n);
        cache.values.set(linear(of("attention.value.weight"), h), position * n);
        const heads = attend(
          query, cache.keys, cache.values, from, position + 1, this.dHead);
        add(linear(of("attention.output.weight"), heads));
        h = layerNorm(x, of("norm2.weight"), of("norm2.bias"));
        h = linear(of("up.weight"), h);
        for (let i = 0; i < h.length; i++) h[i] = h[i] > 0 ? h[i] * h[i] : 0;
        add(linear(of("down.weight"), h));
      });
      const last = layerNorm(x, w["norm.weight"], w["norm.bias"]);
      this.next.push(prices(linear(embedding, last)));
      if (position > 0) this.bytes.push(byte);
    }

    /* Forget everything after the first place where `bytes` differs. */
    rewind(bytes) {
      let same = 0;
      while (same < this.bytes.length && this.bytes[same] === bytes[same]) same++;
      this.bytes.length = same;
      this.next.length = same + 1;
      // Later rows of the cache are written over when their positions come.
    }

    /* The bits of each byte read so far. */
    bits() {
      return this.bytes.map((byte, i) => this.next[i][byte]);
    }
  }

  Object.assign(LIVE, { Reader, pause, unpack });
})();
