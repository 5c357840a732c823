/* The small context mixer, and two predictors mixed: lmlib/compression/mixing.py,
   logistic.py, bit_history.py and `Bits` of predictors.py in JavaScript, with the same
   names and, to the last bit, the same numbers. All of them are integers: a probability
   is out of 2^16, a stretched one is 256 times the logarithm of its odds. Where a
   product may need more than 32 bits, Math.floor(x / 2 ** n) stands for x >> n. */
globalThis.LIVE = globalThis.LIVE || {};
(() => {
  "use strict";

  const ONE = 2 ** 16;
  const LIMIT = 2815; // just below 256 · 11
  const clamp = (x, low, high) => Math.max(low, Math.min(high, x));

  // 256 · ln(p / (1 − p)) for p = (i + ½) / 4096, and the p in 2^16 back from it.
  const STRETCH = Int32Array.from({ length: 4096 }, (_, i) =>
    Math.round(256 * Math.log((2 * i + 1) / (8191 - 2 * i))));
  const SQUASH = Int32Array.from({ length: 2 * LIMIT + 1 }, (_, i) =>
    clamp(Math.round(65536 / (1 + Math.exp((LIMIT - i) / 256))), 1, 65535));
  const stretch = (p) => STRETCH[p >> 4];
  const squash = (x) => SQUASH[clamp(x, -LIMIT, LIMIT) + LIMIT];

  // -- What a context has seen, in a byte ------------------------------------------

  const CAPS = [40, 22, 12, 8, 6, 5]; // of the larger count, by the smaller

  /* The state (n0, n1, last bit) once `bit` has come: it counts one more, the other
     loses half of what is above 3, caps keep the states few. */
  function following(state, bit) {
    let came = state[bit] + 1;
    let other = Math.min(state[1 - bit], 3 + (Math.max(state[1 - bit] - 3, 0) >> 1));
    const small = Math.min(came, other, CAPS.length - 1);
    const large = Math.min(Math.max(came, other), CAPS[small]);
    [came, other] = came > other ? [large, small] : [small, large];
    const last = small ? bit : 0;
    return bit ? [other, came, last] : [came, other, last];
  }

  /* Every state that can be reached, nothing seen first, and the next of each by bit. */
  function states() {
    const order = [[0, 0, 0]], numbers = new Map([["0,0,0", 0]]), after = [[], []];
    for (const state of order) // it grows
      for (const bit of [0, 1]) {
        const next = following(state, bit), key = String(next);
        if (!numbers.has(key)) numbers.set(key, order.push(next) - 1);
        after[bit].push(numbers.get(key));
      }
    return [order, after.map((numbers) => Uint8Array.from(numbers))];
  }

  /* Of 2^22, how likely a 1 is before anything is known of the state's record. */
  function firstGuess([n0, n1]) {
    const one = 2 ** 22;
    if (n0 > 0 && n1 === 0) return Math.floor((10 * one) / (25 * n0 + 20));
    if (n1 > 0 && n0 === 0) return one - Math.floor((10 * one) / (25 * n1 + 20));
    return Math.floor(((10 * n1 + 4) * one) / (10 * (n0 + n1) + 8));
  }

  const [STATES, NEXT] = states();
  const USES = STATES.map(([n0, n1]) => n0 + n1);
  const FIRST = Int32Array.from(STATES, firstGuess);
  // How far a probability moves the n-th time, in 2^16.
  const PACE = Int32Array.from({ length: 256 }, (_, n) =>
    Math.floor((10 * ONE) / (10 * n + 16)));

  // -- The parts of a mixer --------------------------------------------------------

  /* One neuron: stretch(q) = Σ wᵢ·stretch(pᵢ). After each bit its weights go down the
     gradient of the code length. A number chooses which of its sets of weights. */
  class Mixer {
    constructor(nInputs, start) {
      this.fresh = new Int32Array(nInputs).fill(start);
      this.sets = new Map();
      this.bits = 0;
    }

    mix(inputs, chosen) {
      if (!this.sets.has(chosen)) this.sets.set(chosen, this.fresh.slice());
      this.inputs = inputs;
      this.weights = this.sets.get(chosen);
      let sum = 0;
      for (let i = 0; i < inputs.length; i++) sum += inputs[i] * this.weights[i];
      const mixed = clamp(Math.floor(sum / ONE), -LIMIT, LIMIT);
      this.q = squash(mixed);
      return mixed;
    }

    update(bit) {
      this.bits += 1;
      const rate = 2 + Math.floor(448000 / (32000 + this.bits));
      const step = (bit * ONE - this.q) * rate;
      for (let i = 0; i < this.inputs.length; i++)
        this.weights[i] += Math.floor((this.inputs[i] * step) / 2 ** 18);
    }
  }

  /* What a stretched probability has meant so far, in a context: 33 cells, a curve. */
  const CELLS = Int32Array.from({ length: 33 }, (_, i) => squash(128 * (i - 16)) << 4);
  class Refinement {
    constructor() {
      this.curves = new Map();
    }

    refine(x, context) {
      if (!this.curves.has(context)) this.curves.set(context, CELLS.slice());
      const curve = (this.curve = this.curves.get(context));
      const place = clamp(x, -2048, 2047) + 2048, at = place >> 7, beyond = place & 127;
      this.nearest = at + (beyond > 64 ? 1 : 0);
      return (curve[at] * (128 - beyond) + curve[at + 1] * beyond) >> 11;
    }

    update(bit) {
      this.curve[this.nearest] += ((bit << 20) - this.curve[this.nearest]) >> 6;
    }
  }

  // -- The context mixer -----------------------------------------------------------

  /* 64 bits in which every bit of `number` has a say. */
  const M64 = (1n << 64n) - 1n;
  function hash(number) {
    number = (number * 0x9e3779b97f4a7c15n) & M64;
    return ((number ^ (number >> 29n)) * 0xbf58476d1ce4e5b9n) & M64;
  }

  /* The last 0, 1, 2, 3, 4 and 6 bytes, the word, and the word with the one before it
     are contexts. Each looks up a history of the bits that came there, a map says what
     such a history has meant, two mixers weigh that. The longest earlier match adds the
     bit that came then. */
  const MASKS = [0, 1, 2, 3, 4, 6].map((k) => (1n << BigInt(8 * k)) - 1n);
  const CONTEXTS = MASKS.length + 2;

  class Mixed {
    constructor() {
      // lmlib's table has 2^22 lines of 16 bytes. A text of this page reaches some
      // thousands of them, and only these are made: the number of a line → the line.
      this.table = new Map();
      this.maps = Array.from({ length: CONTEXTS }, () => FIRST.slice());
      this.met = Array.from({ length: CONTEXTS }, () => new Uint8Array(FIRST.length));
      this.byAge = new Mixer(CONTEXTS + 2, Math.floor((ONE * 3) / 10));
      this.byNode = new Mixer(CONTEXTS + 2, Math.floor((ONE * 3) / 10));
      this.order0 = new Refinement();
      this.order1 = new Refinement();
      this.text = []; // all bytes
      this.last = 0n; // the last 8 as a number
      this.word = this.wordBefore = 0;
      this.ends = new Map(); // hash of 6 bytes → where they ended
      this.place = this.length = 0; // where the match goes on, and how long it is
      this.right = new Int32Array(32).fill(3 << 20); // by length, how often, in 2^22
      this.byte = this.nibble = 1; // the bits so far, behind a leading 1
      this.histories = new Uint8Array(CONTEXTS);
      this.inputs = new Int32Array(CONTEXTS + 2);
      this.findLines();
      this.predict();
    }

    p1() {
      return this.p;
    }

    update(bit) {
      for (const part of [this.byAge, this.byNode, this.order0, this.order1])
        part.update(bit);
      for (let i = 0; i < CONTEXTS; i++) {
        const history = this.histories[i], map = this.maps[i], met = this.met[i];
        map[history] += Math.floor(
          (((bit << 22) - map[history]) * PACE[met[history]]) / ONE);
        if (met[history] < 255) met[history] += 1;
        this.found[i][this.nibble] = NEXT[bit][history];
      }
      if (this.expected !== null) {
        const length = Math.min(this.length, 31), hit = bit === this.expected ? 1 : 0;
        this.right[length] += ((hit << 22) - this.right[length]) >> 7;
        if (!hit) this.length = 0;
      }
      this.byte = 2 * this.byte + bit;
      this.nibble = 2 * this.nibble + bit;
      if (this.byte > 255) {
        this.read(this.byte & 255);
        this.byte = 1;
      }
      if (this.nibble > 15) {
        this.nibble = 1;
        this.findLines();
      }
      this.predict();
    }

    predict() {
      let old = 0; // how many of the contexts of bytes are not new
      for (let i = 0; i < CONTEXTS; i++) {
        const history = (this.histories[i] = this.found[i][this.nibble]);
        this.inputs[i] = STRETCH[this.maps[i][history] >> 10];
        if (history && i > 0 && i < MASKS.length) old += 1;
      }
      this.inputs[CONTEXTS] = this.fromMatch();
      this.inputs[CONTEXTS + 1] = 256;
      const surety = this.expected === null ? 0 : 1 + (Math.min(this.length, 31) >> 3);
      const x = (this.byAge.mix(this.inputs, 8 * old + surety)
        + this.byNode.mix(this.inputs, this.byte)) >> 1;
      const order1 = (Number(this.last & 255n) << 8) | this.byte;
      const refined = this.order0.refine(x, this.byte) + this.order1.refine(x, order1);
      this.p = Math.max(1, (2 * squash(x) + refined) >> 2);
    }

    /* stretch(p) of the bit that came after the match; 0 if there is none. */
    fromMatch() {
      this.expected = null;
      if (!this.length) return 0;
      const n = 31 - Math.clz32(this.byte); // bits that are known
      const byte = this.text[this.place] | 256;
      if (byte >> (8 - n) !== this.byte) {
        this.length = 0;
        return 0;
      }
      this.expected = (byte >> (7 - n)) & 1;
      const x = STRETCH[this.right[Math.min(this.length, 31)] >> 10];
      return this.expected ? x : -x;
    }

    /* Take in a whole byte: the contexts of the next one. */
    read(byte) {
      const text = this.text;
      text.push(byte);
      this.last = ((this.last << 8n) | BigInt(byte)) & M64;
      const lower = byte >= 65 && byte <= 90 ? byte | 32 : byte;
      if ((lower >= 97 && lower <= 122) || byte > 127)
        this.word = (Math.imul(this.word, 0x2f0b4c47) + lower + 1) >>> 0;
      else if (this.word) [this.word, this.wordBefore] = [0, this.word];
      if (this.length) {
        this.length += 1;
        this.place += 1;
      }
      const key = Number(hash(this.last & ((1n << 48n) - 1n)) >> 46n);
      if (!this.length) {
        const place = (this.place = this.ends.get(key) || 0);
        while (this.length < Math.min(place, 32)
          && text[place - 1 - this.length] === text[text.length - 1 - this.length])
          this.length += 1;
        if (this.length < 5) this.length = 0;
      }
      this.ends.set(key, text.length);
    }

    /* For each context the line of the table in which this nibble's cells are. */
    findLines() {
      const contexts = MASKS.map((mask) => this.last & mask);
      const word = BigInt(this.word);
      contexts.push(word, (word << 32n) | BigInt(this.wordBefore));
      const nibbles = this.byte > 1 ? BigInt(this.byte) : 0n;
      this.found = contexts.map((context, i) =>
        this.line(hash((((context << 5n) | nibbles) << 4n) | BigInt(i))));
    }

    /* The line of a hash; the less used of two gives way to it. */
    line(key) {
      const check = Number(key & 255n), number = Number((key >> 20n) & 0x3fffffn);
      const first = this.made(number), second = this.made(number ^ 1);
      if (first[0] === check) return first;
      if (second[0] === check) return second;
      const line = USES[first[1]] > USES[second[1]] ? second : first;
      line.fill(0);
      line[0] = check;
      return line;
    }

    made(number) {
      if (!this.table.has(number)) this.table.set(number, new Uint8Array(16));
      return this.table.get(number);
    }
  }

  // -- Predictors of bytes, and mixtures -------------------------------------------

  /* Whole numbers that sum to 2^24, in proportion to the probabilities of 256 bytes,
     which come as their prices, −log₂ p: lmlib's `frequencies`. Those of one place are
     asked for again after every change behind it. */
  const TOTAL = 2 ** 24;
  const known = new WeakMap();
  function frequencies(prices) {
    if (known.has(prices)) return known.get(prices);
    const found = new Float64Array(256);
    let left = TOTAL, largest = 0;
    for (let i = 0; i < 256; i++) {
      found[i] = 1 + Math.floor(2 ** -prices[i] * (TOTAL - 256));
      left -= found[i];
      if (found[i] > found[largest]) largest = i;
    }
    found[largest] += left;
    known.set(prices, found);
    return found;
  }

  /* A predictor of bytes, asked bit by bit: is the byte in the upper half of those
     that are left? `next(n)` gives the frequencies of the byte that comes after n. */
  class Bits {
    constructor(next) {
      this.next = next;
      this.count = 0;
      this.begin();
    }

    begin() {
      this.low = 0;
      this.high = 256;
      const counts = this.next(this.count++);
      this.below = new Float64Array(257); // of all bytes below this one
      for (let i = 0; i < 256; i++) this.below[i + 1] = this.below[i] + counts[i];
    }

    p1() {
      const { below, low, high } = this, middle = (low + high) >> 1;
      const p1 = ((below[high] - below[middle]) * ONE) / (below[high] - below[low]);
      return clamp(Math.floor(p1), 1, ONE - 1);
    }

    update(bit) {
      const middle = (this.low + this.high) >> 1;
      if (bit) this.low = middle;
      else this.high = middle;
      if (this.high - this.low === 1) this.begin();
    }
  }

  /* Predictors as one: a mixer over what they say, by the bits of this byte. */
  class Mixture {
    constructor(predictors) {
      this.predictors = predictors;
      this.mixer = new Mixer(predictors.length, Math.floor(ONE / predictors.length));
      this.node = 1;
      this.mix();
    }

    p1() {
      return this.p;
    }

    update(bit) {
      this.mixer.update(bit);
      for (const predictor of this.predictors) predictor.update(bit);
      this.node = 2 * this.node + bit;
      if (this.node > 255) this.node = 1;
      this.mix();
    }

    mix() {
      const said = this.predictors.map((predictor) => stretch(predictor.p1()));
      this.p = squash(this.mixer.mix(said, this.node));
    }
  }

  /* A deep copy. What is reached in two ways, as a line of the table, is copied once. */
  function copy(value, copies = new Map()) {
    if (typeof value !== "object" || value === null) return value;
    if (copies.has(value)) return copies.get(value);
    if (ArrayBuffer.isView(value)) {
      copies.set(value, value.slice());
      return copies.get(value);
    }
    const made = value instanceof Map ? new Map()
      : Array.isArray(value) ? [] : Object.create(Object.getPrototypeOf(value));
    copies.set(value, made);
    if (value instanceof Map)
      for (const [key, part] of value) made.set(key, copy(part, copies));
    else for (const key of Object.keys(value)) made[key] = copy(value[key], copies);
    return made;
  }

  /* Reads what the transformer's `reader` has read: what each byte costs the context
     mixer alone, and the two mixed. The mixer's part is computed once, for both.
     What has been learned cannot be unlearned: every 128 bytes it is copied, and after
     a change near the end one of the last two copies reads on. */
  const STRIDE = 128, COPIES = 2;
  class MixedReader {
    constructor(reader) {
      this.reader = reader;
      this.begin();
    }

    begin() {
      this.bytes = [];
      this.mixer = []; // bits of each byte
      this.both = [];
      this.copies = []; // of what was learned, and after how many bytes
      const mixed = new Mixed(), next = (n) => frequencies(this.reader.next[n]);
      this.learned = { mixed, mixture: new Mixture([new Bits(next), mixed]) };
    }

    read(byte) {
      const { mixed, mixture } = this.learned;
      let mixer = 0, both = 0;
      for (let place = 7; place >= 0; place--) {
        const bit = (byte >> place) & 1;
        const price = (p1) => Math.log2(ONE / (bit ? p1 : ONE - p1));
        mixer += price(mixed.p1());
        both += price(mixture.p1());
        mixture.update(bit); // and with it the mixer
      }
      this.bytes.push(byte);
      this.mixer.push(mixer);
      this.both.push(both);
      if (this.bytes.length % STRIDE) return;
      this.copies.push({ count: this.bytes.length, learned: copy(this.learned) });
      if (this.copies.length > COPIES) this.copies.shift();
    }

    /* Forget everything after the first place where `bytes` differs, and before it what
       came after the last copy: that is to be read again. */
    rewind(bytes) {
      const same = this.bytes.findIndex((byte, i) => byte !== bytes[i]);
      if (same < 0) return;
      this.copies = this.copies.filter(({ count }) => count <= same);
      if (!this.copies.length) {
        this.begin();
        return;
      }
      const { count, learned } = this.copies.at(-1);
      this.learned = copy(learned);
      for (const list of [this.bytes, this.mixer, this.both]) list.length = count;
    }
  }

  Object.assign(LIVE, { MixedReader, STRETCH, SQUASH, TOTAL, frequencies });
})();
