// What scrolls sideways can be reached and scrolled with the keyboard; nothing else is a
// stop. (The theme does this for code, output and tables, and not for these.)
const wide = ".bd-article div.math, .bd-article figure";
const setStops = () => {
  for (const box of document.querySelectorAll(wide))
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
};
addEventListener("load", setStops);
addEventListener("resize", setStops);

// Paper cannot be unfolded.
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("article details:not([open])")];
  for (const details of opened) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of opened) details.open = false;
});

// Who comes to a folded section by a link wants to read it.
const unfold = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const details = target?.closest("section.folded")?.querySelector("details");
  if (details && !details.open) {
    details.open = true;
    target.scrollIntoView();
  }
};
addEventListener("DOMContentLoaded", unfold);
addEventListener("hashchange", unfold);

// Figures that are moved by hand have a script of their own, on the pages that have one.
if (document.querySelector(".moved")) {
  const script = document.createElement("script");
  script.src = new URL("../live/figures.js", document.currentScript.src);
  document.head.append(script);
}
