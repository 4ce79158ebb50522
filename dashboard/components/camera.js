// The live camera: asks for the picture, sends small frames to this server, draws what it answers.
// One frame is on its way at a time, so a slow computer shows fewer frames and no delay builds up.

const NEEDS_HTTPS =
  "The browser gives the camera only to pages on localhost or over HTTPS. Open the app on the computer it " +
  "runs on, or put a proxy with HTTPS in front.";
const NO_CONNECTION =
  "The live connection was refused or lost. Start the app with `python dashboard`, or use One photo → Take one.";

class Camera {
  constructor(root) {
    const find = (selector) => root.querySelector(selector);
    this.root = find(".camera");
    this.button = find(".switch");
    this.status = find(".status");
    this.stage = find(".stage");
    this.video = find("video");
    this.overlay = find("canvas");
    this.list = find(".faces");
    this.frame = document.createElement("canvas");
    this.button.onclick = () => (this.stream ? this.stop("The camera is off.") : this.start());
  }

  configure(settings) {
    const changed = JSON.stringify(settings) !== JSON.stringify(this.settings);
    this.settings = settings;
    if (changed && this.socket?.readyState === WebSocket.OPEN) this.changed = true;
  }

  async start() {
    if (!navigator.mediaDevices?.getUserMedia) return this.say(NEEDS_HTTPS, true);
    this.say("Waiting for your permission to use the camera …");
    try {
      const video = { width: { ideal: 640 }, height: { ideal: 480 }, facingMode: "user" };
      this.stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    } catch (error) {
      const reasons = {
        NotAllowedError: "The camera was not allowed. Allow it beside the address, and start again.",
        NotFoundError: "No camera was found. Connect one, or upload a photo.",
        NotReadableError: "Another program is using the camera. Close it, and start again.",
      };
      return this.say(reasons[error.name] ?? `The camera cannot be used: ${error.message}`, true);
    }
    this.stream.getVideoTracks()[0].onended = () => this.stop("The camera was taken away.", true);
    this.video.srcObject = this.stream;
    await this.video.play();
    this.stage.hidden = false;
    this.button.textContent = "Stop the camera";
    this.button.setAttribute("aria-pressed", "true");
    this.connect();
  }

  connect() {
    const base = location.pathname.replace(new RegExp(`/${this.settings.page}/?$`), "").replace(/\/$/, "");
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${base}${this.settings.path}`);
    this.socket = socket;
    this.say("Loading the models …");
    this.counted = [];
    this.root.dataset.frames = "0";
    socket.onopen = () => this.configureServer();
    socket.onmessage = (event) => socket === this.socket && this.answered(JSON.parse(event.data));
    socket.onclose = () => socket === this.socket && this.stop(NO_CONNECTION, true);
  }

  configureServer() {
    const { runs, smoothing, unsure_below } = this.settings;
    this.changed = false;
    this.socket.send(JSON.stringify({ runs, smoothing, unsure_below }));
  }

  answered(answer) {
    if (answer.error) return this.stop(answer.error, true);
    if (answer.faces) this.show(answer);
    if (this.changed) return this.configureServer();
    const wait = 1000 / this.settings.rate - (performance.now() - (this.sentAt ?? 0));
    this.timer = setTimeout(() => this.send(), Math.max(0, wait));
  }

  send() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (!this.stream || this.socket?.readyState !== WebSocket.OPEN) return;
    if (!width || document.hidden) {
      this.timer = setTimeout(() => this.send(), 200);
      return;
    }
    this.sentAt = performance.now();
    this.frame.width = Math.min(this.settings.width, width);
    this.frame.height = Math.round((this.frame.width * height) / width);
    this.frame.getContext("2d").drawImage(this.video, 0, 0, this.frame.width, this.frame.height);
    this.frame.toBlob((blob) => blob && this.socket?.readyState === WebSocket.OPEN && this.socket.send(blob),
      "image/jpeg", 0.85);
  }

  show({ faces, milliseconds }) {
    const now = performance.now();
    this.counted = [...this.counted.filter((time) => now - time < 2000), now];
    const seconds = (now - this.counted[0]) / 1000;
    const rate = seconds > 0 ? (this.counted.length - 1) / seconds : 0;
    this.root.dataset.frames = String(Number(this.root.dataset.frames) + 1);
    this.root.dataset.rate = rate.toFixed(1);
    this.root.dataset.milliseconds = milliseconds.toFixed(1);
    const found = faces.length === 1 ? "one face" : faces.length ? `${faces.length} faces` : "no face";
    this.say(`${found} · ${rate.toFixed(0)} pictures a second`);
    this.draw(faces);
    this.describe(faces);
  }

  draw(faces) {
    const { overlay, frame } = this;
    const scale = (overlay.clientWidth * devicePixelRatio) / frame.width;
    overlay.width = overlay.clientWidth * devicePixelRatio;
    overlay.height = overlay.clientHeight * devicePixelRatio;
    const context = overlay.getContext("2d");
    const size = 15 * devicePixelRatio;
    context.font = `600 ${size}px sans-serif`;
    context.lineWidth = 3 * devicePixelRatio;
    for (const face of faces) {
      const [x, y, width, height] = face.box.map((value) => value * scale);
      const left = overlay.width - x - width; // the picture is shown mirrored
      const label = `${faces.length > 1 ? `${face.number} ` : ""}${face.sure ? face.emotion : `${face.emotion}?`}`;
      context.strokeStyle = "#ffb000";
      context.strokeRect(left, y, width, height);
      const top = Math.max(y - size * 1.5, 0);
      context.fillStyle = "#ffb000";
      context.fillRect(left, top, context.measureText(label).width + size, size * 1.5);
      context.fillStyle = "#1b1f2a";
      context.fillText(label, left + size / 2, top + size * 1.1);
    }
  }

  describe(faces) {
    const shown = faces.slice(0, 3);
    while (this.list.children.length > shown.length) this.list.lastChild.remove();
    shown.forEach((face, place) => {
      const names = Object.keys(face.probabilities);
      const block = this.list.children[place] ?? this.list.appendChild(faceBlock(names));
      const share = `${Math.round(100 * face.confidence)} %`;
      const who = faces.length > 1 ? `Face ${face.number}: ` : "";
      block.querySelector("h4").textContent = `${who}${face.emotion} (${share})${face.sure ? "" : " – unsure"}`;
      names.forEach((name, number) => {
        const value = face.probabilities[name];
        const row = block.querySelectorAll(".bar")[number];
        row.querySelector(".fill").style.width = `${100 * value}%`;
        row.lastChild.textContent = `${Math.round(100 * value)} %`;
      });
    });
  }

  say(text, problem = false) {
    if (this.status.textContent !== text) this.status.textContent = text;
    this.status.classList.toggle("problem", problem);
  }

  stop(text, problem = false) {
    clearTimeout(this.timer);
    const { socket, stream } = this;
    this.socket = this.stream = null;
    socket?.close();
    stream?.getTracks().forEach((track) => track.stop());
    this.video.srcObject = null;
    this.stage.hidden = true;
    this.list.replaceChildren();
    this.button.textContent = "Start the camera";
    this.button.setAttribute("aria-pressed", "false");
    this.say(text, problem);
  }
}

function faceBlock(names) {
  const block = document.createElement("div");
  block.className = "face";
  block.appendChild(document.createElement("h4"));
  for (const name of names) {
    const row = document.createElement("div");
    row.className = "bar";
    row.innerHTML = '<span></span><div class="track"><div class="fill"></div></div><span></span>';
    row.firstChild.textContent = name;
    block.appendChild(row);
  }
  return block;
}

const cameras = new WeakMap();

export default function (component) {
  const { data, parentElement } = component;
  let camera = cameras.get(parentElement);
  if (!camera) {
    camera = new Camera(parentElement);
    cameras.set(parentElement, camera);
  }
  camera.configure(data);
  return () => {
    camera.stop("The camera is off.");
    cameras.delete(parentElement);
  };
}
