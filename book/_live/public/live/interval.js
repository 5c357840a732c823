/* The arithmetic coder as a picture: a text is an interval inside [0, 1), each byte cuts
   it down to its own part. lmlib/compression/coder.py keeps 48 bits of the ends and
   writes the others away; here the ends are whole, as integers of any length, so that
   the picture is exact. Part 1 is the arithmetic, part 2 the picture. */
globalThis.LIVE = globalThis.LIVE || {};
(() => {
  "use strict";

  // -- 1. Intervals ----------------------------------------------------------------

  /* [low, low + width) in units of 2^−scale. */
  const WHOLE = { low: 0n, width: 1n, scale: 0 };

  const bitLength = (number) => {
    const hex = number.toString(16);
    return 4 * hex.length - Math.clz32(parseInt(hex[0], 16)) + 28;
  };

  /* Cut down to the share of `byte`; the frequencies sum to 2^24. */
  function cut({ low, width, scale }, frequencies, byte) {
    let below = 0;
    for (let i = 0; i < byte; i++) below += frequencies[i];
    return {
      low: (low << 24n) + width * BigInt(below),
      width: width * BigInt(frequencies[byte]),
      scale: scale + 24,
    };
  }

  /* −log₂ of the width. */
  function bitsOf({ width, scale }) {
    const beyond = BigInt(Math.max(0, bitLength(width) - 53));
    return scale - Number(beyond) - Math.log2(Number(width >> beyond));
  }

  /* The fewest digits after "0." of which every continuation lies in the interval. */
  function shortestCode({ low, width, scale }) {
    let length = Math.max(0, scale + 1 - bitLength(width));
    for (; ; length++) {
      const rest = BigInt(scale - length);
      const number = -(-low >> rest); // low rounded up to so many digits
      if ((number + 1n) << rest <= low + width)
        return length ? number.toString(2).padStart(length, "0") : "";
    }
  }

  /* The digits of both ends after "0.": as many as they share, and `more`. The upper
     end itself is outside: its last number inside stands for it. */
  function digits({ low, width, scale }, more) {
    const all = (number) => number.toString(2).padStart(scale, "0");
    const lower = scale ? all(low) : "", upper = scale ? all(low + width - 1n) : "";
    let shared = 0;
    while (shared < scale && lower[shared] === upper[shared]) shared++;
    return {
      shared: lower.slice(0, shared),
      lower: lower.slice(shared, shared + more).padEnd(more, "0"),
      upper: upper.slice(shared, shared + more).padEnd(more, "1"),
    };
  }

  /* Where in an interval, from 0 to 1, all that begins with `code` lies. */
  function placeOf({ low, width, scale }, code) {
    const start = BigInt(`0b0${code}`) << BigInt(scale - code.length);
    const part = (number) => Number((number << 40n) / width) / 2 ** 40;
    return { left: part(start - low), width: part(1n << BigInt(scale - code.length)) };
  }

  // -- 2. The picture ----------------------------------------------------------------

  function element(tag, className, text) {
    const made = document.createElement(tag);
    made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  const spread = (node, left, width) => {
    node.style.left = `min(${100 * left}%, 100% - 2px)`; // never out of sight
    node.style.width = `${100 * width}%`;
    return node;
  };

  function widthOf(interval) {
    const bits = bitsOf(interval), width = element("span", "", bits ? "2" : "1");
    if (bits) width.append(element("sup", "", `−${bits.toFixed(1)}`));
    width.append(" wide");
    return width;
  }

  const group = (text) => text.replace(/(....)(?=.)/g, "$1 ");
  /* The end of many digits; those before it are an ellipsis. */
  const tail = (text, most) => (text.length > most ? `…${text.slice(-most)}` : text);

  /* The fold with the picture. `update(reader)` tells it that there is a new text. */
  function stepper(root, nameOf) {
    const $ = (name) => root.querySelector(`[data-step="${name}"]`);
    const slider = $("slider");
    let bytes = [], counts; // the text, and the frequencies at each of its places
    let step = 0;
    let intervals = [WHOLE]; // after 0, 1, 2 … bytes, as far as they were wanted

    function intervalAfter(count) {
      while (intervals.length <= count) {
        const place = intervals.length - 1;
        intervals.push(cut(intervals[place], counts(place), bytes[place]));
      }
      return intervals[count];
    }

    /* The text's end after `count` bytes; of a letter that is not complete, a dot a byte. */
    function textBefore(count) {
      const read = Uint8Array.from(bytes.slice(Math.max(0, count - 24), count));
      const text = new TextDecoder().decode(read).replace(/\n/g, "↵");
      return Array.from(text.replace(/^\ufffd+/, "")).slice(-8).join("")
        .replace(/\ufffd/g, "·");
    }

    /* The interval after `count` bytes, cut among all bytes that may come. */
    function bar(count, taken) {
      const frequencies = counts(count), next = bytes[count];
      const row = element("div", "live-cut");
      let below = 0, ahead = null;
      frequencies.forEach((frequency, byte) => {
        const left = below / LIVE.TOTAL, width = frequency / LIVE.TOTAL;
        below += frequency;
        if (byte === next) ahead = { left, width };
        if (width < 0.01 && byte !== next) return; // the ground stands for them
        const part = element("span", "live-part");
        if (byte === next) part.classList.add(taken ? "live-taken" : "live-next");
        const name = nameOf(byte);
        if (width * root.clientWidth > 9 * name.length + 2) part.textContent = name;
        row.append(spread(part, left, width));
      });
      return { row, ahead };
    }

    /* From a part of the upper bar to the whole of the lower one. */
    function funnel({ left, width }) {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("viewBox", "0 0 1 1");
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("class", "live-funnel");
      const shape = document.createElementNS("http://www.w3.org/2000/svg", "path");
      shape.setAttribute("d", `M${left} 0H${left + width}L1 1H0Z`);
      svg.append(shape);
      return svg;
    }

    function draw(forward) {
      if (!root.open || !counts) return;
      const picture = document.createDocumentFragment();
      const interval = intervalAfter(step), bits = bitsOf(interval);
      const code = shortestCode(interval), { shared, lower, upper } = digits(interval, 6);
      let from = null;
      for (let count = Math.max(0, step - 2); count <= step; count++) {
        if (from) picture.append(funnel(from));
        const { row, ahead } = bar(count, count < step);
        const label = element("div", "live-row");
        const before = textBefore(count);
        label.append(
          element("span", "", before ? `after “${count > 8 ? "…" : ""}${before}”` : "at first"),
          widthOf(intervalAfter(count)));
        if (count === step && forward && from) { // it grows out of its part
          row.classList.add("live-widening");
          row.style.setProperty("--left", `${100 * from.left}%`);
          row.style.setProperty("--width", from.width);
        }
        picture.append(label, row);
        from = ahead;
      }
      const { left, width } = placeOf(interval, code);
      const strip = element("div", "live-code");
      strip.append(spread(element("span", ""), left, width));
      picture.append(strip);
      $("picture").replaceChildren(picture);

      $("at").textContent = `${step} of ${bytes.length}`;
      $("bits").textContent = `${bits.toFixed(2)} bits`;
      $("shared-low").textContent = $("shared-high").textContent = tail(shared, 18);
      $("low").textContent = `${lower}…`;
      $("high").textContent = `${upper}…`;
      $("code").textContent = code ? tail(group(code), 130) : "nothing at all";
      $("length").textContent = `${code.length} ${code.length === 1 ? "bit" : "bits"}`;
      const coded = step ? `, the last ${nameOf(bytes[step - 1])}` : "";
      const said = `${step} of ${bytes.length} bytes coded${coded}: `
        + `the interval is worth ${bits.toFixed(2)} bits, the file has ${code.length}.`;
      slider.setAttribute("aria-valuetext", said);
      $("picture").setAttribute("aria-label", said);
      $("back").disabled = step === 0;
      $("next").disabled = step === bytes.length;
      root.dataset.code = code;
      root.dataset.bits = bits;
    }

    function go(to) {
      const forward = to === step + 1;
      step = Math.max(0, Math.min(bytes.length, to));
      slider.value = step;
      draw(forward);
    }

    $("back").addEventListener("click", () => go(step - 1));
    $("next").addEventListener("click", () => go(step + 1));
    slider.addEventListener("input", () => go(Number(slider.value)));
    root.addEventListener("toggle", () => draw(false));

    return {
      update(reader) {
        const atEnd = step === bytes.length && step > 0; // who looks there, stays there
        let same = 0;
        while (same < bytes.length && bytes[same] === reader.bytes[same]) same++;
        intervals.length = Math.min(intervals.length, same + 1);
        // The reader may be at another text before the next step is wanted.
        const prices = [...reader.next];
        bytes = [...reader.bytes];
        counts = (place) => LIVE.frequencies(prices[place]);
        slider.max = bytes.length;
        go(atEnd ? bytes.length : Math.min(step, bytes.length));
      },
    };
  }

  Object.assign(LIVE, { WHOLE, bitsOf, cut, digits, shortestCode, stepper });
})();
