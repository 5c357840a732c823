/* The landing page's live model: a causal transformer in plain JavaScript.

   Part 1 is lmlib in another language: read `Reader.read` beside `attention` in
   lmlib/attention.py and `apply_rotary` in lmlib/positions.py. Part 2 counts bits,
   part 3 is the page. `model.js` brings the weights; nothing else is loaded. */
(() => {
  "use strict";

  // -- 1. The model --------------------------------------------------------------

  const START = 0; // the byte that stood before every document in training

  const pause = () => new Promise((resolve) => setTimeout(resolve));

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
    const y = new Float32Array(matrix.length / n);
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
    return x.map((value, i) => (value - mean) * scale * gain[i] + bias[i]);
  }

  /* Rotary positions: turn feature pair i of every head by position · base^(−2i/d). */
  function rotate(x, position, dHead) {
    for (let i = 0; i < x.length; i += 2) {
      const angle = position * 10000 ** (-(i % dHead) / dHead);
      const cos = Math.cos(angle), sin = Math.sin(angle);
      const first = x[i], second = x[i + 1];
      x[i] = first * cos - second * sin;
      x[i + 1] = first * sin + second * cos;
    }
    return x;
  }

  /* softmax(query · keysᵀ / √d_head) · values for one query, head by head. The future
     needs no mask here: its keys do not exist yet. */
  function attend(query, keys, values, from, dHead) {
    const output = new Float32Array(query.length);
    const weights = new Float64Array(keys.length - from);
    for (let head = 0; head < query.length; head += dHead) {
      let largest = -Infinity, total = 0;
      for (let k = 0; k < weights.length; k++) {
        const key = keys[from + k];
        let score = 0;
        for (let i = head; i < head + dHead; i++) score += query[i] * key[i];
        weights[k] = score / Math.sqrt(dHead);
        if (weights[k] > largest) largest = weights[k];
      }
      for (let k = 0; k < weights.length; k++) {
        weights[k] = Math.exp(weights[k] - largest);
        total += weights[k];
      }
      for (let k = 0; k < weights.length; k++) {
        const weight = weights[k] / total, value = values[from + k];
        for (let i = head; i < head + dHead; i++) output[i] += weight * value[i];
      }
    }
    return output;
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
        ({ keys: [], values: [] }));
      this.bytes = []; // what has been read
      this.next = []; // next[i]: the price of every byte at place i, before it came
      this.read(START);
    }

    read(byte) {
      const w = this.weights;
      const position = this.next.length;
      const from = Math.max(0, position + 1 - this.window);
      let x = w["embedding.weight"].slice(byte * this.dModel, (byte + 1) * this.dModel);
      const add = (y) => { x = x.map((value, i) => value + y[i]); };
      this.cache.forEach(({ keys, values }, layer) => {
        const of = (name) => w[`blocks.${layer}.${name}`];
        let h = layerNorm(x, of("norm1.weight"), of("norm1.bias"));
        const query = rotate(linear(of("attention.query.weight"), h), position, this.dHead);
        keys.push(rotate(linear(of("attention.key.weight"), h), position, this.dHead));
        values.push(linear(of("attention.value.weight"), h));
        const heads = attend(query, keys, values, from, this.dHead);
        add(linear(of("attention.output.weight"), heads));
        h = layerNorm(x, of("norm2.weight"), of("norm2.bias"));
        h = linear(of("up.weight"), h).map((value) => (value > 0 ? value * value : 0));
        add(linear(of("down.weight"), h));
      });
      const last = layerNorm(x, w["norm.weight"], w["norm.bias"]);
      this.next.push(prices(linear(w["embedding.weight"], last)));
      if (position > 0) this.bytes.push(byte);
    }

    /* Forget everything after the first place where `bytes` differs. */
    rewind(bytes) {
      let same = 0;
      while (same < this.bytes.length && this.bytes[same] === bytes[same]) same++;
      this.bytes.length = same;
      this.next.length = same + 1;
      for (const { keys, values } of this.cache) keys.length = values.length = same + 1;
    }

    /* The bits of each byte read so far. */
    bits() {
      return this.bytes.map((byte, i) => this.next[i][byte]);
    }
  }

  // -- 2. Texts and their size ---------------------------------------------------

  const encode = (text) => new TextEncoder().encode(text);
  const sum = (values) => values.reduce((total, value) => total + value, 0);

  /* Reads on for some milliseconds at a time, so that the page stays responsive.
     Resolves to false when `stale()` says that nobody wants the answer any more. */
  async function readAll(reader, bytes, { stale = () => false, progress } = {}) {
    reader.rewind(bytes);
    while (reader.bytes.length < bytes.length) {
      const until = performance.now() + 8;
      while (reader.bytes.length < bytes.length && performance.now() < until)
        reader.read(bytes[reader.bytes.length]);
      if (progress) progress();
      if (reader.bytes.length < bytes.length) await pause();
      if (stale()) return false;
    }
    return true;
  }

  /* Bytes after the browser's own deflate without header, or null if it has none. */
  async function deflatedSize(bytes) {
    try {
      const packer = new CompressionStream("deflate-raw");
      const stream = new Blob([bytes]).stream().pipeThrough(packer);
      return (await new Response(stream).arrayBuffer()).byteLength;
    } catch {
      return null;
    }
  }

  /* A seeded generator (mulberry32): the same text is shuffled alike on every visit. */
  function random(seed) {
    return () => {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  function shuffled(items) {
    const draw = random(1), result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const j = Math.floor(draw() * (i + 1));
      [result[i], result[j]] = [result[j], result[i]];
    }
    return result;
  }

  const ALPHABET = "abcdefghijklmnopqrstuvwxyz ";
  const VARIANTS = {
    sentence: (text) => text,
    words: (text) => shuffled(text.split(/\s+/).filter(Boolean)).join(" "),
    letters: (text) => shuffled(text).join(""),
    random: (text) => {
      const draw = random(2);
      return Array.from(text, () => ALPHABET[Math.floor(draw() * 27)]).join("");
    },
  };

  // -- 3. The page ---------------------------------------------------------------

  const NAMES = { " ": "space", "\n": "newline", "\t": "tab", "\0": "the end" };
  const SIGNS = { " ": "␣", "\n": "↵", "\t": "⇥" };
  const one = (value) => value.toFixed(1);
  const whole = (value) => Math.round(value).toLocaleString("en");

  /* A number of equal choices, with no more digits than the model can vouch for. */
  function choices(count) {
    if (count > 1e9) return "more than a thousand million";
    return count < 9.85 ? one(count) : whole(Number(count.toPrecision(2)));
  }

  function percent(bits) {
    const p = 100 * 2 ** -bits;
    if (p < 0.0001) return "< 0.0001 %";
    if (p > 99) return `${p.toFixed(1)} %`;
    return p < 9.95 ? `${Number(p.toPrecision(2))} %` : `${Math.round(p)} %`;
  }

  /* A byte's name: its letter, or its number where it is a part of a longer letter. */
  const nameOf = (byte) => {
    const letter = String.fromCharCode(byte);
    return NAMES[letter] || (byte > 32 && byte < 127 ? letter : `byte ${byte}`);
  };

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function start(root, model, weights) {
    const $ = (name) => root.querySelector(`[data-live="${name}"]`);
    const reader = new Reader(model, weights); // of the text in the box
    const scorer = new Reader(model, weights); // of the four buttons
    const box = $("text"), strip = $("letters");
    const buttons = [...root.querySelectorAll("[data-variant]")];
    const original = box.defaultValue;
    let base = box.value; // what the buttons shuffle: the last text a person wrote
    let variant = "sentence";
    let letters = []; // { text, from, to, node }: bytes from … to − 1 of the text
    let chosen = -1;
    let edition = 0, baseEdition = 0; // to tell a stale computation from the newest
    let baseCost = null; // bits per character of `base`
    let lost = 0; // how many characters of the last input the box had no room for
    let speech; // the timer of the sentence for screen readers

    /* One span a letter, and one around each word, so that lines break between words. */
    function draw(text) {
      let at = 0, word = null;
      const page = document.createDocumentFragment();
      letters = Array.from(text, (letter, i) => {
        const node = element("span", "live-letter", SIGNS[letter] ? "" : letter);
        node.id = `live-letter-${i}`;
        node.setAttribute("role", "option");
        node.setAttribute("aria-selected", "false");
        node.dataset.index = i;
        if (SIGNS[letter]) {
          node.classList.add("live-blank");
          node.append(element("span", "live-sign", SIGNS[letter]));
        }
        if (!word) page.append((word = element("span", "live-word")));
        word.append(node);
        if (letter === "\n") page.append(element("br"));
        if (SIGNS[letter]) word = null;
        const from = at;
        at += encode(letter).length;
        return { text: letter, from, to: at, node, bits: null };
      });
      strip.replaceChildren(page);
    }

    /* Give each letter that the model has read its height, tint and name. */
    function paint() {
      const cost = reader.bits();
      for (const letter of letters) {
        if (letter.bits !== null || letter.to > cost.length) continue;
        letter.bits = sum(cost.slice(letter.from, letter.to));
        letter.node.style.setProperty("--bits", Math.min(letter.bits, 12).toFixed(2));
        const name = NAMES[letter.text] || letter.text;
        letter.node.setAttribute("aria-label", `${name}, ${one(letter.bits)} bits`);
      }
    }

    /* Show what the model expected where letter `index` came. */
    function choose(index) {
      if (letters[chosen]) {
        letters[chosen].node.classList.remove("live-chosen");
        letters[chosen].node.setAttribute("aria-selected", "false");
      }
      chosen = index;
      const letter = letters[index];
      strip.removeAttribute("aria-activedescendant");
      $("inspector").hidden = !letter || letter.bits === null;
      if ($("inspector").hidden) return;
      letter.node.classList.add("live-chosen");
      letter.node.setAttribute("aria-selected", "true");
      strip.setAttribute("aria-activedescendant", letter.node.id);

      const price = reader.next[letter.from], came = reader.bytes[letter.from];
      const order = Array.from(price.keys()).sort((a, b) => price[a] - price[b]);
      const shown = order.slice(0, 5);
      if (!shown.includes(came)) shown[4] = came;
      const before = letters.slice(Math.max(0, index - 12), index);
      $("before").textContent = (index > 12 ? "…" : "")
        + before.map(({ text }) => (text === "\n" ? "↵" : text)).join("");
      $("came").textContent = NAMES[letter.text] || letter.text;
      $("price").textContent = letter.to - letter.from === 1
        ? `−log₂ ${percent(letter.bits)} = ${letter.bits.toFixed(2)} bits`
        : `${letter.bits.toFixed(2)} bits for its ${letter.to - letter.from} bytes`;
      $("rank").textContent = order.indexOf(came) === 0
        ? "first guess" : `guess no.\u00a0${order.indexOf(came) + 1}`;
      $("guesses").replaceChildren(...shown.map((byte) => {
        const row = element("li", byte === came ? "live-came" : "");
        row.append(element("span", "live-guess", nameOf(byte)));
        const bar = element("span", "live-bar");
        bar.style.setProperty("--part", (2 ** -price[byte]).toFixed(4));
        row.append(bar, element("span", "live-number", percent(price[byte])));
        return row;
      }));
      const guesses = order.slice(0, 3).map((b) => `${nameOf(b)} ${percent(price[b])}`);
      const name = NAMES[letter.text] || letter.text;
      letter.node.setAttribute("aria-label",
        `${name}, ${one(letter.bits)} bits. Expected: ${guesses.join(", ")}.`);
    }

    function mostSurprising() {
      let best = -1;
      letters.forEach((l, i) => { if (best < 0 || l.bits > letters[best].bits) best = i; });
      return best;
    }

    /* The rows of the table; a size is null where the browser cannot tell it. */
    function showSizes(sizes, count) {
      const longest = Math.max(...Object.values(sizes));
      for (const [name, bits] of Object.entries(sizes)) {
        const row = $(name), known = bits !== null;
        row.querySelector(".live-total").textContent = known ? whole(bits) : "";
        row.querySelector(".live-rate").textContent = !known
          ? "not in this browser" : count ? (bits / count).toFixed(2) : "–";
        row.querySelector(".live-bar")
          .style.setProperty("--part", (bits / longest || 0).toFixed(4));
      }
    }

    /* One sentence on a text of `count` characters at `cost` bits each. */
    function meaning(cost, count) {
      if (!count) return "Write something: even the first letter has its price.";
      if (variant === "random")
        return "Drawn at random from 27, letters cost any code at least log₂ 27 = 4.75 "
          + `bits each on average. This model pays ${cost.toFixed(2)}`
          + `${cost > 8 ? ", more than plain bytes," : ""} since it keeps expecting English.`;
      if (variant === "sentence" || baseCost === null)
        return `${cost.toFixed(2)} bits a character, as for a fair choice among `
          + `${choices(2 ** cost)} characters each time.`;
      const times = cost / baseCost, dearer = times > 1.02;
      const [same, gone, none] = variant === "words"
        ? ["words", "part of what the model knew was how words follow each other.",
          "the model knew nothing of their order."]
        : ["letters", "no letter was added, only the structure is gone.",
          "the model had found no structure in them."];
      return `The same ${same} in another order cost `
        + (dearer ? `${times.toFixed(times < 1.1 ? 2 : 1)} times as many bits: ${gone}`
          : `no more bits than before: ${none}`);
    }

    /* What to say where the model pays for letters that it hardly met in training. */
    function ignorance(bits) {
      const foreign = letters.filter(({ text }) => text.codePointAt(0) > 126);
      if (!foreign.length) return "";
      const part = percent(-Math.log2(sum(foreign.map((letter) => letter.bits)) / bits));
      return ` But ${foreign.length} of these ${letters.length} characters are made of `
        + `bytes that the model has hardly seen. They take ${part} of the bits, and `
        + "that measures its ignorance, not your text.";
    }

    function showCount() {
      const full = box.value.length >= box.maxLength;
      $("count").textContent = `${box.value.length} of ${box.maxLength} characters`
        + (full ? ", the box is full" : "") + (lost ? `: ${whole(lost)} were cut` : "");
    }

    /* The text in the box has changed. */
    async function update(focusOn) {
      const current = ++edition, text = box.value, bytes = encode(text);
      showCount();
      for (const button of buttons)
        button.setAttribute("aria-pressed", String(button.dataset.variant === variant));
      root.dataset.state = "reading";
      draw(text);
      chosen = -1;
      reader.rewind(bytes);
      paint();
      const stale = () => current !== edition;
      await pause(); // the letter just typed is shown before the model reads
      if (stale()) return;
      if (!(await readAll(reader, bytes, { stale, progress: paint }))) return;
      choose(focusOn === undefined ? mostSurprising() : Math.min(focusOn, letters.length - 1));
      const bits = sum(reader.bits()), count = letters.length;
      const sentence = meaning(bits / count, count) + ignorance(bits);
      $("meaning").textContent = sentence;
      const packed = await deflatedSize(bytes);
      if (stale()) return;
      const deflate = packed === null ? null : 8 * packed;
      showSizes({ raw: 8 * bytes.length, deflate, model: bits }, count);
      root.dataset.bits = bits;
      root.dataset.state = "ready";
      // Read aloud once the typing rests, not at every letter.
      clearTimeout(speech);
      speech = setTimeout(() => { $("status").textContent = sentence; }, 1000);
    }

    /* `base` has changed: price the four buttons, after the text itself. */
    async function updateButtons() {
      const current = ++baseEdition;
      const stale = () => current !== baseEdition;
      root.dataset.buttons = "reading";
      const costs = [];
      for (const button of buttons) {
        const text = VARIANTS[button.dataset.variant](base), count = Array.from(text).length;
        if (!(await readAll(scorer, encode(text), { stale }))) return;
        costs.push(count ? sum(scorer.bits()) / count : 0);
        await pause();
        if (stale()) return;
      }
      baseCost = costs[0] || null; // the first button is the text as written
      buttons.forEach((button, i) => {
        button.dataset.cost = costs[i];
        button.querySelector(".live-rate").textContent = costs[i] ? costs[i].toFixed(2) : "–";
        button.querySelector(".live-bar")
          .style.setProperty("--part", (costs[i] / Math.max(8, ...costs)).toFixed(4));
      });
      root.dataset.buttons = "ready";
    }

    // The browser cuts what is too long without a word, and fires no "input" when
    // nothing at all had room.
    box.addEventListener("beforeinput", (event) => {
      const given = event.data ?? event.dataTransfer?.getData("text/plain") ?? "";
      const room = box.maxLength - box.value.length + box.selectionEnd - box.selectionStart;
      lost = Math.max(0, given.replaceAll("\r\n", "\n").length - room);
      if (lost) setTimeout(showCount);
    });

    let timer;
    box.addEventListener("input", () => {
      variant = "sentence";
      base = box.value;
      baseCost = null;
      // Typing shows the letter just written: the one before the caret.
      update(Math.max(0, Array.from(box.value.slice(0, box.selectionStart)).length - 1));
      clearTimeout(timer);
      timer = setTimeout(updateButtons, 300);
    });
    for (const button of buttons)
      button.addEventListener("click", () => {
        variant = button.dataset.variant;
        box.value = VARIANTS[variant](base);
        lost = 0;
        update();
      });
    $("reset").addEventListener("click", () => {
      variant = "sentence";
      box.value = base = original;
      lost = 0;
      baseCost = null;
      update();
      updateButtons();
    });

    const pick = (event) => {
      const node = event.target.closest(".live-letter");
      if (node) choose(Number(node.dataset.index));
    };
    strip.addEventListener("pointerover", pick);
    strip.addEventListener("click", pick);
    strip.addEventListener("keydown", (event) => {
      const last = letters.length - 1;
      const to = {
        ArrowLeft: chosen - 1, ArrowUp: chosen - 1,
        ArrowRight: chosen + 1, ArrowDown: chosen + 1,
        Home: 0, End: last,
      }[event.key];
      if (to === undefined || last < 0) return;
      event.preventDefault();
      choose(Math.max(0, Math.min(last, to)));
      letters[chosen].node.scrollIntoView({ block: "nearest" });
    });

    root.classList.add("live-on");
    update();
    updateButtons();
  }

  const model = globalThis.LIVE_MODEL;
  const root = document.querySelector(".live");
  if (!model || !root) return;
  const ready = unpack(model);
  ready.then((weights) => start(root, model, weights));

  /* For the console, and for the tests: the bits of each byte of a text. */
  globalThis.liveBits = async (text) => {
    const reader = new Reader(model, await ready);
    for (const byte of encode(text)) reader.read(byte);
    return reader.bits();
  };
})();
