(() => {
  "use strict";

  // Still pictures are replaced by live ones.
  const touch = matchMedia("(pointer: coarse)").matches;
  const config = {
    responsive: true,
    displaylogo: false,
    showSendToCloud: false,
    plotlyServerURL: "",
    scrollZoom: false,
    displayModeBar: touch ? false : "hover",
  };

  // What is wider than the page says so.
  const boxes = [...document.querySelectorAll(".plot, .scroll")];
  const measure = () =>
    boxes.forEach((box) => {
      box.parentElement.classList.toggle("overflows", box.scrollWidth > box.clientWidth + 1);
    });
  addEventListener("resize", measure);
  measure();

  const isFlat = (spec) => spec.data.every((trace) => trace.type !== "parcoords");
  const hasWebGL = () => Boolean(document.createElement("canvas").getContext("webgl"));

  const draw = async (box) => {
    if (box.dataset.state || typeof Plotly === "undefined") return;
    const spec = JSON.parse(document.getElementById(`spec-${box.dataset.name}`).textContent);
    if (!isFlat(spec) && !hasWebGL()) return void (box.dataset.state = "still");
    box.dataset.state = "drawing";
    // On a touch screen a finger scrolls the page, and does not zoom by accident.
    if (touch) spec.layout.dragmode = false;
    const live = document.createElement("div");
    live.className = "live";
    live.style.minWidth = `${box.dataset.least}px`;
    box.append(live);
    try {
      await Plotly.newPlot(live, spec.data, spec.layout, {
        ...config,
        modeBarButtons: [isFlat(spec) ? ["zoom2d", "pan2d", "resetScale2d", "toImage"] : ["toImage"]],
        toImageButtonOptions: { filename: box.dataset.name, scale: 2 },
      });
      box.dataset.state = "live";
      box.closest("figure").classList.add("live-figure");
      Plotly.Plots.resize(live);
      measure();
    } catch (error) {
      live.remove();
      box.dataset.state = "still";
      console.error(box.dataset.name, error);
    }
  };

  // One after the other from the top, whenever the browser has nothing else to do.
  const idle = window.requestIdleCallback ?? ((then) => setTimeout(then, 20));
  const waiting = [...document.querySelectorAll(".plot")];
  const next = () => {
    const box = waiting.shift();
    if (box) draw(box).finally(() => idle(next, { timeout: 500 }));
  };
  next();

  // Tables: a click on a heading sorts by it, the next one the other way; what has no value is last.
  const compare = (a, b) => {
    if (a.number !== null && b.number !== null) {
      if (Number.isNaN(a.number) || Number.isNaN(b.number)) {
        return Number.isNaN(a.number) - Number.isNaN(b.number);
      }
      return a.number - b.number;
    }
    return a.text.localeCompare(b.text, "en", { numeric: true });
  };
  const key = (row, column) => {
    const cell = row.cells[column];
    const number = "value" in cell.dataset ? Number(cell.dataset.value) : null;
    return { text: cell.textContent, number };
  };
  document.querySelectorAll("th button").forEach((button) => {
    button.addEventListener("click", () => {
      const head = button.closest("th");
      const body = head.closest("table").tBodies[0];
      const down = head.getAttribute("aria-sort") === "ascending";
      const rows = [...body.rows].map((row) => ({ row, key: key(row, head.cellIndex) }));
      rows.sort((a, b) => {
        const missing = Number.isNaN(a.key.number) || Number.isNaN(b.key.number);
        return (down && !missing ? -1 : 1) * compare(a.key, b.key);
      });
      body.append(...rows.map(({ row }) => row));
      head.closest("tr").querySelectorAll("th").forEach((other) => {
        other.setAttribute("aria-sort", "none");
      });
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });

  document.querySelectorAll(".copy").forEach((button) => {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = document.getElementById(button.dataset.of);
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected: copy it";
      }
    });
  });

  addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((details) => (details.open = true));
  });
})();
