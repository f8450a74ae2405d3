// Small things of the page that more than one part of it uses.

export const byId = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

let pending = 0;

// A function that runs `work`, and once more if it was called meanwhile; never twice at a time.
// What goes wrong is told to the user.
export function coalesced(status, work) {
  let isRunning = false;
  let isWanted = false;
  return async () => {
    isWanted = true;
    if (isRunning) return;
    isRunning = true;
    pending += 1;
    document.body.ariaBusy = "true";
    byId("status").textContent = status;
    while (isWanted) {
      isWanted = false;
      try {
        await work();
        tell(null);
      } catch (error) {
        tell(error.message);
      }
    }
    isRunning = false;
    pending -= 1;
    if (!pending) {
      document.body.ariaBusy = "false";
      byId("status").textContent = "";
    }
  };
}

export function tell(message) {
  byId("error").hidden = message === null;
  byId("error").textContent = message ?? "";
}

// Arrow keys move the focus among the buttons of a grid, which is one stop of the Tab key.
export function moveWithArrows(grid, columns) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  grid.addEventListener("keydown", (event) => {
    const buttons = [...grid.children];
    const next = buttons[buttons.indexOf(document.activeElement) + steps[event.key]];
    if (!next) return;
    event.preventDefault();
    for (const button of buttons) button.tabIndex = button === next ? 0 : -1;
    next.focus();
  });
}
