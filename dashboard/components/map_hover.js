// Shows the face of the point under the pointer on a plotly chart that Streamlit drew.
// `data` is what dashboard/map_hover.py packed: a length, a JSON header, then sheets of faces as JPEGs.

const SHOWN = 112; // side of the face on screen, in pixels
const LOOK_AGAIN = 300; // ms: Streamlit may draw the chart later, or anew

export default function ({ data, parentElement }) {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data ?? []);
  if (bytes.length < 4) return undefined;
  const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const place = new Map(header.indices.map((index, position) => [index, position]));
  const sheets = new Map();
  let chart = null;
  let events = null;
  let wanted = null;

  const tip = document.createElement("figure");
  tip.className = "tip";
  tip.hidden = true;
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = header.tile;
  const caption = document.createElement("figcaption");
  tip.append(canvas, caption);
  parentElement.append(tip);

  function sheet(number) {
    if (!sheets.has(number)) {
      const start = 4 + length + header.sizes.slice(0, number).reduce((a, b) => a + b, 0);
      const part = bytes.slice(start, start + header.sizes[number]);
      sheets.set(number, createImageBitmap(new Blob([part], { type: "image/jpeg" })));
    }
    return sheets.get(number);
  }

  async function show(event) {
    const index = event.points?.[0]?.customdata?.[0];
    const position = place.get(index);
    if (position === undefined) return;
    wanted = index;
    const picture = await sheet(Math.floor(position / header.per_sheet));
    if (wanted !== index) return; // the pointer has moved on
    const within = position % header.per_sheet;
    const [row, column] = [Math.floor(within / header.columns), within % header.columns];
    const side = header.tile;
    canvas.getContext("2d").drawImage(picture, column * side, row * side, side, side, 0, 0, side, side);
    caption.textContent = header.captions[position];
    const { clientX = 0, clientY = 0 } = event.event ?? {};
    const left = clientX + 20 + SHOWN > window.innerWidth ? clientX - 28 - SHOWN : clientX + 20;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, Math.min(clientY - SHOWN - 30, window.innerHeight - SHOWN - 60))}px`;
    tip.dataset.index = String(index);
    tip.hidden = false;
  }

  function hide() {
    wanted = null;
    tip.hidden = true;
  }

  function attach() {
    const found = document.querySelector(`.st-key-${header.chart} .js-plotly-plot`);
    if (!found?.on || (found === chart && found._ev === events)) return;
    detach();
    chart = found;
    events = found._ev; // plotly's emitter: another one after the chart was drawn anew
    chart.on("plotly_hover", show);
    chart.on("plotly_unhover", hide);
    chart.dataset.faces = "ready";
  }

  function detach() {
    if (!chart?.removeListener) return;
    chart.removeListener("plotly_hover", show);
    chart.removeListener("plotly_unhover", hide);
  }

  attach();
  const timer = setInterval(attach, LOOK_AGAIN);
  return () => {
    clearInterval(timer);
    detach();
    tip.remove();
  };
}
