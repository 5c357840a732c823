/* Figures that are moved by hand, made by lmlib/interactive.py: the attention of a token,
   and a distribution under temperature. Numbers are multiples of STEP. course.js loads
   this on the pages that have such a figure. */
(() => {
  "use strict";
  const STEP = 1e-4;
  const percent = (p, digits = 1) => `${(100 * p).toFixed(digits)} %`;
  const entropy = (all) => all.reduce((sum, p) => (p > 0 ? sum - p * Math.log2(p) : sum), 0);

  /* What stands in a figure, by its name; its numbers; and its controls made visible. */
  function opened(root) {
    root.querySelector(".moved-controls").hidden = false;
    const data = JSON.parse(root.querySelector("script").textContent);
    return [(name) => root.querySelector(`[data-moved="${name}"]`), data];
  }

  // -- The attention of one token ------------------------------------------------------

  function attention(root, number) {
    const [$, { weights }] = opened(root);
    const box = root.querySelector(".moved-tokens");
    const tokens = [...box.children];
    const text = tokens.map((t) => t.querySelector(".moved-text").textContent);
    let chosen = tokens.length - 1;
    $("said").id = `moved-${number}-said`;
    box.tabIndex = 0;
    box.setAttribute("role", "listbox");
    box.setAttribute("aria-label", "The sentence; arrow keys choose the token that asks");
    tokens.forEach((token, i) => {
      token.id = `moved-${number}-${i}`;
      token.setAttribute("role", "option");
    });

    function row() {
      const heads = weights[$("layer").value], head = heads[$("head").value];
      const of = head ? [head] : heads; // the last choice is the mean
      return tokens.map((_, key) =>
        STEP * of.reduce((sum, h) => sum + (h[chosen][key] || 0), 0) / of.length);
    }

    function draw() {
      const share = row();
      tokens.forEach((token, i) => {
        const later = i > chosen;
        token.classList.toggle("moved-asks", i === chosen);
        token.classList.toggle("moved-later", later);
        token.setAttribute("aria-selected", i === chosen);
        token.removeAttribute("aria-describedby");
        token.style.setProperty("--part", share[i].toFixed(3));
        token.querySelector(".moved-share").textContent =
          later ? "–" : percent(share[i], 0);
      });
      const most = [...share.keys()].sort((a, b) => share[b] - share[a])
        .slice(0, Math.min(3, chosen + 1))
        .map((i) => `${i === chosen ? "itself" : text[i]} ${percent(share[i])}`);
      const bits = entropy(share);
      $("said").textContent = `“${text[chosen]}” looks at ${most.join(", ")}. Entropy `
        + `${bits.toFixed(2)} bits: as spread out as ${(2 ** bits).toFixed(1)} equal tokens.`;
      tokens[chosen].setAttribute("aria-describedby", $("said").id);
      box.setAttribute("aria-activedescendant", tokens[chosen].id);
      root.dataset.chosen = chosen;
      root.dataset.bits = bits;
      root.dataset.weights = share.map((w) => w.toFixed(6));
    }

    const choose = (to) => {
      chosen = Math.max(0, Math.min(tokens.length - 1, to));
      draw();
    };
    const pick = (event) => {
      const at = tokens.indexOf(event.target.closest(".moved-token"));
      if (at >= 0 && at !== chosen) choose(at);
    };
    box.addEventListener("pointerover", pick);
    box.addEventListener("click", pick);
    box.addEventListener("keydown", (event) => {
      const to = { ArrowLeft: chosen - 1, ArrowUp: chosen - 1, ArrowRight: chosen + 1,
        ArrowDown: chosen + 1, Home: 0, End: tokens.length - 1 }[event.key];
      if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      choose(to);
    });
    for (const name of ["layer", "head"]) $(name).addEventListener("change", draw);
    draw();
  }

  // -- The next token under temperature and top-p ---------------------------------------

  /* As `probabilities` of lmlib.models.generate: the likeliest first, cut, sum 1. */
  function cooled(drops, temperature, topP) {
    const powers = drops.map((drop) => Math.exp(-drop / temperature));
    const total = powers.reduce((a, b) => a + b, 0);
    const p = powers.map((power) => power / total);
    let kept = 0, mass = 0;
    while (kept < p.length && mass < topP) mass += p[kept++];
    if (topP === 1) [kept, mass] = [p.length, 1];
    return { p, kept, drawn: p.map((share, i) => (i < kept ? share / mass : 0)) };
  }

  function nextToken(root) {
    const [$, { steps }] = opened(root);
    let below = 0;
    const drops = steps.map((step) => STEP * (below += step));
    const rows = [...root.querySelectorAll("tbody tr")];
    const last = rows.length - 1; // all others
    const bars = rows.map((row) => row.querySelector(".moved-bar"));
    const shares = rows.map((row) => row.querySelector(".moved-share"));
    const first = rows[0].querySelector("th").textContent;

    function draw() {
      const temperature = +$("temperature").value, topP = +$("top-p").value;
      const { p, kept, drawn } = cooled(drops, temperature, topP);
      const sum = (all) => all.slice(last).reduce((a, b) => a + b, 0);
      rows.forEach((row, i) => {
        const share = i < last ? drawn[i] : sum(drawn);
        const cut = i >= kept; // of the others, all of them
        row.classList.toggle("moved-cut", cut);
        bars[i].style.setProperty("--part", (cut ? (i < last ? p[i] : sum(p)) : share).toFixed(4));
        shares[i].textContent = cut ? "cut" : percent(share);
      });
      const bits = entropy(p), left = entropy(drawn);
      $("temperature-now").textContent = temperature.toFixed(2);
      $("top-p-now").textContent = topP.toFixed(2);
      const uncut = kept === p.length;
      $("said").textContent = `Entropy ${bits.toFixed(2)} bits. `
        + (uncut ? "Nothing is cut: any of "
          + `${p.length.toLocaleString("en")} tokens may be drawn.`
          : `Top-p keeps ${kept.toLocaleString("en")} of ${p.length.toLocaleString("en")} `
          + `tokens, worth ${left.toFixed(2)} bits.`);
      for (const [name, value] of [["temperature", temperature], ["top-p", topP]])
        $(name).setAttribute("aria-valuetext", `${value.toFixed(2)}: ${first} `
          + `${percent(drawn[0])}, entropy ${left.toFixed(2)} bits, ${kept} tokens`);
      root.dataset.bits = bits;
      root.dataset.kept = kept;
      root.dataset.drawn = drawn.slice(0, last).map((share) => share.toFixed(6));
    }

    for (const name of ["temperature", "top-p"]) $(name).addEventListener("input", draw);
    draw();
  }

  const KINDS = { attention, "next-token": nextToken };
  document.querySelectorAll(".moved").forEach((root, number) =>
    KINDS[root.dataset.moved](root, number));
})();
