// One view at a time, by the address: #/divergences, #/routing; anything else is the overview.
const sections = document.querySelectorAll("main > [data-view]");
const links = document.querySelectorAll("nav a");

export function current() {
  const wanted = location.hash.replace(/^#\//, "");
  return [...links].some((link) => link.dataset.view === wanted) ? wanted : "overview";
}

// Sections that hide themselves (`hidden`) go on doing so: a view has an attribute of its own.
function show() {
  const view = current();
  for (const section of sections) section.toggleAttribute("data-away", section.dataset.view !== view);
  for (const link of links) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

// Calls `on(view)` when another one is looked at.
export function follow(on) {
  addEventListener("hashchange", () => {
    const before = document.querySelector("nav [aria-current]")?.dataset.view;
    show();
    if (before === current()) return;
    scrollTo(0, 0);
    on(current());
  });
  show();
}
