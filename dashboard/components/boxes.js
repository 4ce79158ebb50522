// Boxes on a photo: drag one to move it, a corner to resize it, the empty photo to draw one. With the keyboard:
// Tab to a box, arrows move it, Shift and arrows resize it, Delete removes it. Sends all boxes after each change.

const SVG = "http://www.w3.org/2000/svg";
const SMALLEST = 12; // pixels of the photo
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

class Boxes {
  constructor(root) {
    this.svg = root.querySelector("svg");
    this.buttons = Object.fromEntries(
      ["add", "remove", "reset"].map((name) => [name, root.querySelector(`.${name}`)]),
    );
    this.buttons.add.onclick = () => this.add();
    this.buttons.remove.onclick = () => this.remove(this.chosen);
    this.buttons.reset.onclick = () => this.reset();
    this.svg.onpointerdown = (event) => this.press(event);
    this.svg.onpointermove = (event) => this.drag(event);
    this.svg.onpointerup = this.svg.onpointercancel = () => this.release();
    this.svg.onkeydown = (event) => this.key(event);
  }

  show(data) {
    if (data.token === this.token) return;
    Object.assign(this, { token: data.token, width: data.width, height: data.height, found: data.boxes });
    this.boxes = structuredClone(data.edited ?? data.boxes);
    this.edited = Boolean(data.edited);
    this.chosen = null;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.picture = make("image", { href: data.image, width: this.width, height: this.height });
    this.draw();
  }

  get unit() {
    return this.width / Math.max(this.svg.clientWidth, 1); // pixels of the photo per pixel of the screen
  }

  draw() {
    const focused = this.svg.getRootNode().activeElement?.dataset?.number;
    this.svg.replaceChildren(this.picture, ...this.boxes.map((box, number) => this.drawn(box, number)));
    if (focused !== undefined) this.svg.querySelector(`[data-number="${focused}"]`)?.focus();
    this.buttons.remove.disabled = this.chosen === null;
    this.buttons.reset.disabled = !this.edited;
  }

  drawn({ x, y, width, height, tilt }, number) {
    const size = 16 * this.unit;
    const chosen = number === this.chosen ? " chosen" : "";
    const group = make("g", { class: `box${chosen}`, tabindex: 0, role: "button", "data-number": number });
    group.setAttribute("aria-label", `Face ${number + 1}: arrows move, Shift and arrows resize, Delete removes`);
    group.setAttribute("transform", `rotate(${tilt} ${x + width / 2} ${y + height / 2})`);
    group.append(
      make("rect", { x, y, width, height }),
      make("rect", { class: "tag", x, y, width: size * 1.4, height: size * 1.4 }),
      make("text", { x: x + size * 0.4, y: y + size * 1.05, "font-size": size }, number + 1),
    );
    for (const [right, bottom] of [[0, 0], [1, 0], [0, 1], [1, 1]]) {
      const place = { cx: x + right * width, cy: y + bottom * height, r: 8 * this.unit };
      group.append(make("circle", { class: "handle", ...place, "data-corner": `${right}${bottom}` }));
    }
    return group;
  }

  at(event) {
    const area = this.svg.getBoundingClientRect();
    const limit = (value, most) => Math.min(Math.max(value, 0), most);
    return [
      limit(((event.clientX - area.left) / area.width) * this.width, this.width),
      limit(((event.clientY - area.top) / area.height) * this.height, this.height),
    ];
  }

  press(event) {
    const group = event.target.closest?.(".box");
    if (!group && event.pointerType === "touch") return; // a finger on the photo scrolls the page
    const [x, y] = this.at(event);
    this.svg.setPointerCapture(event.pointerId);
    if (!group) {
      this.boxes.push({ x, y, width: 0, height: 0, tilt: 0, source: null });
      this.chosen = this.boxes.length - 1;
      this.grip = { corner: [x, y], drawn: true };
    } else {
      this.chosen = Number(group.dataset.number);
      const box = this.boxes[this.chosen];
      const corner = event.target.dataset.corner;
      this.grip = corner
        ? { corner: [box.x + (corner[0] === "0" ? box.width : 0), box.y + (corner[1] === "0" ? box.height : 0)] }
        : { offset: [x - box.x, y - box.y] };
    }
    this.before = JSON.stringify(this.boxes);
    this.draw();
  }

  drag(event) {
    if (!this.grip) return;
    const [x, y] = this.at(event);
    const box = this.boxes[this.chosen];
    const { corner, offset } = this.grip;
    if (offset) {
      if (Math.abs(x - offset[0] - box.x) + Math.abs(y - offset[1] - box.y) < this.unit) return;
      box.x = Math.min(Math.max(x - offset[0], 0), this.width - box.width);
      box.y = Math.min(Math.max(y - offset[1], 0), this.height - box.height);
    } else {
      [box.x, box.width] = [Math.min(x, corner[0]), Math.abs(x - corner[0])];
      [box.y, box.height] = [Math.min(y, corner[1]), Math.abs(y - corner[1])];
    }
    Object.assign(box, { tilt: 0, source: null });
    this.draw();
  }

  release() {
    if (!this.grip) return;
    const { drawn } = this.grip;
    this.grip = null;
    const box = this.boxes[this.chosen];
    if (Math.min(box.width, box.height) < SMALLEST) {
      if (drawn) {
        this.boxes.pop(); // a click on the empty photo chooses nothing
        this.chosen = null;
        return this.draw();
      }
      box.width = Math.max(box.width, SMALLEST);
      box.height = Math.max(box.height, SMALLEST);
    }
    if (drawn || JSON.stringify(this.boxes) !== this.before) this.changed();
  }

  key(event) {
    const number = event.target.dataset?.number;
    if (number === undefined) return;
    this.chosen = Number(number);
    const box = this.boxes[this.chosen];
    const step = STEPS[event.key];
    if (step) {
      const by = Math.max(1, Math.round(4 * this.unit));
      if (event.shiftKey) {
        box.width = Math.min(Math.max(box.width + by * step[0], SMALLEST), this.width - box.x);
        box.height = Math.min(Math.max(box.height + by * step[1], SMALLEST), this.height - box.y);
      } else {
        box.x = Math.min(Math.max(box.x + by * step[0], 0), this.width - box.width);
        box.y = Math.min(Math.max(box.y + by * step[1], 0), this.height - box.height);
      }
      Object.assign(box, { tilt: 0, source: null });
      this.draw();
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.changed(), 400); // once, after a row of key presses
    } else if (event.key === "Delete" || event.key === "Backspace") {
      this.remove(this.chosen);
    } else return;
    event.preventDefault();
  }

  add() {
    const side = Math.min(this.width, this.height) / 3;
    const [x, y] = [(this.width - side) / 2, (this.height - side) / 2];
    this.boxes.push({ x, y, width: side, height: side, tilt: 0, source: null });
    this.chosen = this.boxes.length - 1;
    this.changed();
  }

  remove(number) {
    this.boxes.splice(number, 1);
    this.chosen = null;
    this.changed();
  }

  reset() {
    this.boxes = structuredClone(this.found);
    this.chosen = null;
    this.edited = false;
    this.draw();
    this.send(null);
  }

  changed() {
    this.edited = true;
    this.draw();
    this.send(this.boxes.map(({ x, y, width, height, tilt, source }) => ({
      x: Math.round(x), y: Math.round(y), width: Math.round(width), height: Math.round(height), tilt, source,
    })));
  }
}

function make(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const editors = new WeakMap();

export default function (component) {
  const { data, parentElement, setStateValue } = component;
  let editor = editors.get(parentElement);
  if (!editor) {
    editor = new Boxes(parentElement);
    editors.set(parentElement, editor);
  }
  editor.send = (boxes) => setStateValue("boxes", boxes); // of this run of the page, not of the first
  editor.show(data);
}
