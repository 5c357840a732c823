/* The page that compresses what you type. Part 1 counts bits, part 2 is the page. The
   predictors are in transformer.js and mixing.js, the coder's picture in interval.js,
   the weights in model.js; nothing else is loaded. */
(() => {
  "use strict";

  const { MixedReader, Reader, pause, stepper, unpack } = LIVE;

  // -- 1. Texts and their size ---------------------------------------------------

  const encode = (text) => new TextEncoder().encode(text);
  const sum = (values) => values.reduce((total, value) => total + value, 0);

  /* Reads on for some milliseconds at a time, so that the page stays responsive.
     Resolves to false when `stale()` says that nobody wants the answer any more. */
  async function readAll(reader, bytes, { stale = () => false, progress } = {}) {
    reader.rewind(bytes);
    let told = performance.now();
    while (reader.bytes.length < bytes.length) {
      const until = performance.now() + 8;
      while (reader.bytes.length < bytes.length && performance.now() < until)
        reader.read(bytes[reader.bytes.length]);
      if (progress && performance.now() - told > 50) {
        progress();
        told = performance.now();
      }
      if (reader.bytes.length < bytes.length) await pause();
      if (stale()) return false;
    }
    return true;
  }

  /* Bytes after the browser's own gzip, less its header and check sum of 18 bytes; null
     if it has none. */
  async function gzippedSize(bytes) {
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

  /* Chinese has no spaces between its words: the browser's dictionary finds them. */
  const HAN = /\p{Script=Han}/u;
  function wordsOf(text) {
    if (!HAN.test(text) || !globalThis.Intl?.Segmenter)
      return text.split(/\s+/).filter(Boolean);
    const segmenter = new Intl.Segmenter("zh", { granularity: "word" });
    return Array.from(segmenter.segment(text), ({ segment }) => segment);
  }

  const ALPHABET = "abcdefghijklmnopqrstuvwxyz ";
  const VARIANTS = {
    sentence: (text) => text,
    words: (text) => shuffled(wordsOf(text)).join(HAN.test(text) ? "" : " "),
    letters: (text) => shuffled(text).join(""),
    random: (text) => {
      const draw = random(2);
      return Array.from(text, () => ALPHABET[Math.floor(draw() * 27)]).join("");
    },
  };

  // -- 2. The page ---------------------------------------------------------------

  const NAMES = { " ": "space", "\n": "newline", "\t": "tab", "\0": "the end" };
  const SIGNS = { " ": "␣", "\n": "↵", "\t": "⇥" };
  const endsWord = (letter) => SIGNS[letter] || HAN.test(letter);
  const one = (value) => value.toFixed(1);
  const rate = (value) => (value < 1000 ? value.toFixed(2) : whole(value));
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
    const mixed = new MixedReader(reader); // the mixer beside it, and both mixed
    const scorer = new Reader(model, weights); // of the four buttons
    const coder = stepper($("coder"), nameOf);
    const weightBits = 8 * model.record.weights_bytes;
    const box = $("text"), strip = $("letters");
    const buttons = [...root.querySelectorAll("[data-variant]")];
    const original = box.defaultValue;
    let base = box.value; // what the buttons shuffle: the last text a person wrote
    let variant = "sentence";
    let letters = []; // { text, from, to, node }: bytes from … to − 1 of the text
    let chosen = -1;
    let edition = 0, baseEdition = 0; // to tell a stale computation from the newest
    let baseCost = null; // bits per character of `base`
    let shown = "model"; // whose prices the bars are: "model", "mixer" or "both"
    let sizes = null; // of the text by name, in bits
    let lost = 0; // how many characters of the last input the box had no room for
    let speech; // the timer of the sentence for screen readers

    /* One span a letter, and one around each word, so that lines break between words.
       The words before the first change stay, with all that is known of them. */
    function draw(text) {
      const all = Array.from(text);
      let same = 0;
      while (same < letters.length && letters[same].text === all[same]) same++;
      if (same === all.length && same === letters.length) return;
      while (same > 0 && !endsWord(letters[same - 1].text)) same--;
      letters.length = same;
      const last = same ? letters[same - 1].node.parentNode : null;
      while (strip.lastChild !== last) strip.lastChild.remove();
      let at = same ? letters[same - 1].to : 0, word = null;
      const page = document.createDocumentFragment();
      if (same && letters[same - 1].text === "\n") page.append(element("br"));
      for (const letter of all.slice(same)) {
        const node = element("span", "live-letter", SIGNS[letter] ? "" : letter);
        node.id = `live-letter-${letters.length}`;
        node.setAttribute("role", "option");
        node.setAttribute("aria-selected", "false");
        node.dataset.index = letters.length;
        if (SIGNS[letter]) {
          node.classList.add("live-blank");
          node.append(element("span", "live-sign", SIGNS[letter]));
        }
        if (!word) page.append((word = element("span", "live-word")));
        word.append(node);
        if (letter === "\n") page.append(element("br"));
        if (endsWord(letter)) word = null;
        const from = at;
        at += encode(letter).length;
        letters.push({ text: letter, from, to: at, node, bits: null });
      }
      strip.append(page);
    }

    const costs = () => ({ model: reader.bits(), mixer: mixed.mixer, both: mixed.both });

    /* Give each letter that has been read its height, tint and name. */
    function paint() {
      const cost = costs()[shown];
      for (const letter of letters) {
        if (letter.bits !== null || letter.to > cost.length) continue;
        letter.bits = sum(cost.slice(letter.from, letter.to));
        letter.node.style.setProperty("--bits", Math.min(letter.bits, 12).toFixed(2));
        const name = NAMES[letter.text] || letter.text;
        letter.node.setAttribute("aria-label", `${name}, ${one(letter.bits)} bits`);
      }
    }

    function leave(index) {
      if (!letters[index]) return;
      letters[index].node.classList.remove("live-chosen");
      letters[index].node.setAttribute("aria-selected", "false");
    }

    /* Show what the model expected where letter `index` came. */
    function choose(index) {
      leave(chosen);
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
      const cost = costs(), of = (bits) => bits.slice(letter.from, letter.to);
      const own = of(cost.model);
      $("price").textContent = own.length === 1
        ? `−log₂ ${percent(own[0])} = ${own[0].toFixed(2)} bits`
        : `${own.map((bits) => bits.toFixed(2)).join(" + ")} = ${sum(own).toFixed(2)} bits `
          + `for its ${own.length} bytes`;
      $("mixer-price").textContent = sum(of(cost.mixer)).toFixed(2);
      $("both-price").textContent = sum(of(cost.both)).toFixed(2);
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
    function showSizes() {
      const count = letters.length, bytes = sizes.raw / 8, counted = $("counted").checked;
      const total = { ...sizes };
      if (counted) for (const name of ["model", "both"]) total[name] += weightBits;
      const longest = Math.max(...Object.values(total));
      for (const [name, bits] of Object.entries(total)) {
        const row = $(name), known = bits !== null;
        const cell = row.querySelector(".live-total");
        cell.textContent = known ? whole(bits) : "not in this browser";
        cell.colSpan = known ? 1 : 3;
        for (const [unit, among] of [[".live-rate", count], [".live-byte", bytes]]) {
          row.querySelector(unit).hidden = !known;
          row.querySelector(unit).textContent = among ? rate(bits / among) : "–";
        }
        row.querySelector(".live-bar")
          .style.setProperty("--part", (bits / longest || 0).toFixed(4));
      }
      $("verdict").textContent = counted ? account(count) : comparison();
    }

    /* What mixing was good for. */
    function comparison() {
      if (!sizes.raw) return "";
      const { mixer, model: own, both } = sizes;
      const better = mixer < own ? "context mixer" : "transformer";
      const times = both / Math.min(mixer, own);
      if (times < 0.995)
        return `Mixed, the two need ${percent(-Math.log2(1 - times))} fewer bits than the `
          + `better one, the ${better}.`;
      return `Mixed, they need ${times < 1.005 ? "as many bits as"
        : `${percent(-Math.log2(Math.min(1, times - 1)))} more bits than`} the better one, `
        + `the ${better}: which of them to trust must be learned from the text.`;
    }

    /* From which length on the weights would have paid for themselves. */
    function account(count) {
      if (!count) return "";
      const names = { raw: "plain bytes", gzip: "gzip", mixer: "the context mixer" };
      const rivals = Object.keys(names).filter((name) => sizes[name] !== null);
      const rival = rivals.reduce((a, b) => (sizes[b] < sizes[a] ? b : a));
      const saved = (sizes[rival] - Math.min(sizes.model, sizes.both)) / count;
      if (saved <= 0)
        return `At these rates the weights never pay for themselves: ${names[rival]} `
          + `${rival === "raw" ? "are" : "is"} shorter without them.`;
      return "At these rates the weights have paid for themselves against "
        + `${names[rival]} from ${choices(weightBits / saved)} characters on; and in so `
        + "long a text, those who learn from it would have become better, too.";
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
      const full = box.value.length >= box.maxLength, bytes = encode(box.value).length;
      $("count").textContent = `${box.value.length} of ${box.maxLength} characters`
        + (full ? ", the box is full" : "") + (lost ? `: ${whole(lost)} were cut` : "")
        + (bytes === box.value.length ? "" : `, ${whole(bytes)} bytes`);
    }

    /* The text in the box has changed. */
    async function update(focusOn) {
      const current = ++edition, text = box.value, bytes = encode(text);
      showCount();
      for (const button of buttons)
        button.setAttribute("aria-pressed", String(button.dataset.variant === variant));
      root.dataset.state = "reading";
      leave(chosen);
      chosen = -1;
      draw(text);
      reader.rewind(bytes);
      paint();
      const stale = () => current !== edition;
      await pause(); // the letter just typed is shown before the model reads
      if (stale()) return;
      if (!(await readAll(reader, bytes, { stale, progress: paint }))) return;
      if (!(await readAll(mixed, bytes, { stale }))) return;
      paint();
      choose(focusOn === undefined ? mostSurprising() : Math.min(focusOn, letters.length - 1));
      const packed = await gzippedSize(bytes);
      if (stale()) return;
      const total = Object.entries(costs()).map(([name, bits]) => [name, sum(bits)]);
      sizes = Object.fromEntries(total);
      Object.assign(root.dataset, {
        bits: sizes.model, mixer: sizes.mixer, both: sizes.both,
      });
      sizes.raw = 8 * bytes.length;
      sizes.gzip = packed === null ? null : 8 * packed;
      const count = letters.length;
      const sentence = meaning(sizes.model / count, count) + ignorance(sizes.model);
      $("meaning").textContent = sentence;
      showSizes();
      coder.update(reader);
      root.dataset.state = "ready";
      // Read aloud once the typing rests, not at every letter.
      clearTimeout(speech);
      speech = setTimeout(() => {
        $("status").textContent = `${sentence} ${$("verdict").textContent}`;
      }, 1000);
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
    function put(text) {
      variant = "sentence";
      box.value = base = text;
      lost = 0;
      baseCost = null;
      update();
      updateButtons();
    }
    $("reset").addEventListener("click", () => put(original));
    $("chinese").addEventListener("click", (event) =>
      put(event.currentTarget.dataset.sample));

    $("counted").addEventListener("change", () => { if (sizes) showSizes(); });
    $("shown").addEventListener("change", (event) => {
      shown = event.target.value;
      for (const letter of letters) letter.bits = null;
      paint();
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
    const reader = new Reader(model, await ready), mixed = new MixedReader(reader);
    for (const byte of encode(text)) reader.read(byte);
    for (const byte of encode(text)) mixed.read(byte);
    return { model: reader.bits(), mixer: mixed.mixer, both: mixed.both };
  };
})();
