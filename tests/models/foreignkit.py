"""`.keras` files as a curious student might make them: each tries something, all are made by the tests."""

import io
import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

MEMBERS = ("metadata.json", "config.json", "model.weights.h5")


CASES: tuple[str, ...] = (
    "lambda",
    "module path",
    "module of Python",
    "function",
    "built-in function",
    "evil registered name",
    "file reader",
    "text reader",
    "address",
    "nested load",
    "nested load function",
    "model in the model",
    "zip traversal",
    "zip absolute path",
    "assets",
    "twice the same name",
    "link",
    "2 GB description",
    "giant Dense",
    "giant Dense without weights",
    "giant Dense twice",
    "giant activation",
    "deep lists",
    "deep description",
    "deep networks",
    "many values",
    "huge number",
    "truncated",
    "truncated weights",
    "wrong sum",
    "empty",
    "pickle",
    "empty zip",
    "no weights",
    "wrong shape",
    "five classes",
    "custom layer",
    "weights in another file",
    "link to another file",
    "weights that unpack to a terabyte",
    "no numbers",
)


def good_network(columns: int = 7, shape: tuple[int, int, int] = (48, 48, 1)) -> keras.Model:
    """A small network as students write it: Sequential."""
    layers = [
        keras.Input(shape),
        keras.layers.Conv2D(8, 3, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.MaxPooling2D(4),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.5, seed=123_456_789),
        keras.layers.Dense(columns, activation="softmax"),
    ]
    return keras.Sequential(layers)


def saved(model: keras.Model) -> dict[str, bytes]:
    """`{member: content}` of a `.keras` file."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def described(members: dict[str, bytes], change: Callable[[dict[str, Any]], object]) -> bytes:
    """The file with another description; `change` edits it in place."""
    config = json.loads(members["config.json"])
    change(config)
    return zipped(members | {"config.json": json.dumps(config).encode()})


def with_layer(members: dict[str, bytes], layer: dict[str, Any]) -> bytes:
    """The file with one more layer in its description."""
    return described(members, lambda config: config["config"]["layers"].insert(2, layer))


def weighted(members: dict[str, bytes], change: Callable[[h5py.File], object]) -> bytes:
    """The file with other weights; `change` edits the HDF5 file."""
    buffer = io.BytesIO(members["model.weights.h5"])
    with h5py.File(buffer, "r+") as file:
        change(file)
    return zipped(members | {"model.weights.h5": buffer.getvalue()})


def layer(class_name: str, module: str = "keras.layers", **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None}


def hostile_files(canary: Path) -> dict[str, tuple[bytes, str]]:
    """`{case: (file, what the refusal says)}`; whatever runs code, unpacks or reads leaves `canary`."""
    good = saved(good_network())
    escape = "../" * 12 + str(canary).lstrip("/")
    command = f"touch {canary}"
    secret = canary.parent / "secret.txt"
    secret.write_text("secret")
    function = {"class_name": "function", "registered_name": None}
    nested = json.loads(good["config.json"])
    for _ in range(60):
        nested = {**json.loads(good["config.json"]), "config": {"name": "a", "layers": [nested]}}
    config = good["config.json"]
    return {
        "lambda": (_lambda(canary), "'function'|'keras.layers.Lambda'|'__lambda__'|'lambda|'code'"),
        "module path": (with_layer(good, layer("system", "os", command=command)), "os.system"),
        "module of Python": (
            with_layer(good, layer("Popen", "subprocess", args=command)),
            "subprocess.Popen",
        ),
        "function": (
            with_layer(good, layer("Activation", activation={"module": "os", "config": "system"} | function)),
            "os.function",
        ),
        "built-in function": (
            with_layer(
                good, layer("Activation", activation={"module": "builtins", "config": "exec"} | function)
            ),
            "builtins.function",
        ),
        "evil registered name": (
            with_layer(good, layer("Dense", units=3) | {"registered_name": "fer>Resize"}),
            "keras.layers.Dense",
        ),
        "file reader": (
            with_layer(good, layer("StringLookup", vocabulary=str(secret))),
            "vocabulary|StringLookup",
        ),
        "text reader": (with_layer(good, layer("TextVectorization")), "TextVectorization"),
        "address": (with_layer(good, layer("Activation", activation="https://evil.example/x")), "address"),
        "nested load": (with_layer(good, layer("TFSMLayer", filepath=str(secret))), "filepath|TFSMLayer"),
        "nested load function": (
            with_layer(
                good,
                layer("Activation", activation={"module": "keras.saving", "config": "load_model"} | function),
            ),
            "keras.saving.function",
        ),
        "model in the model": (zipped(good | {"inner.keras": zipped(good)}), "'inner.keras', which does not"),
        "zip traversal": (zipped(good | {escape: b"x"}), "does not belong"),
        "zip absolute path": (zipped(good | {str(canary): b"x"}), "does not belong"),
        "assets": (zipped(good | {"assets/layer/vocabulary.txt": b"x"}), "does not belong"),
        "twice the same name": (_doubled(good), "twice"),
        "link": (_link(good), "is a link"),
        "2 GB description": (_bomb(good), "unpacks to 2,147,483,648 bytes"),
        "giant Dense": (with_layer(good, layer("Dense", units=10**9)), "size of 1e"),
        "giant Dense without weights": (_giant(good), "65,536 units"),
        "giant Dense twice": (_with_side(_giant(good)), "memory|damaged"),
        "giant activation": (_upsampling(), "values of one image"),
        "deep lists": (zipped(good | {"config.json": b"[" * 10**6}), "nested deeper|damaged"),
        "deep description": (
            zipped(good | {"config.json": config[:-1] + b', "x": ' + b'{"a": ' * 300 + b"1" + b"}" * 301}),
            "nested deeper",
        ),
        "deep networks": (zipped(good | {"config.json": json.dumps(nested).encode()}), "nested deeper"),
        "many values": (
            zipped(good | {"config.json": config[:-1] + b', "x": ' + _many() + b"}"}),
            "values",
        ),
        "huge number": (zipped(good | {"config.json": b"1" * 10**6}), "damaged"),
        "truncated": (zipped(good)[:-2000], "damaged"),
        "truncated weights": (
            zipped(good | {"model.weights.h5": good["model.weights.h5"][:5000]}),
            "damaged",
        ),
        "wrong sum": (_flipped(good), "damaged"),
        "empty": (b"", "is empty"),
        "pickle": (b"\x80\x04cos\nsystem\n(S'" + command.encode() + b"'\ntR.", "no zip archive"),
        "empty zip": (zipped({}), "damaged|no zip|lacks"),
        "no weights": (zipped({n: good[n] for n in MEMBERS[:2]}), "lacks 'model.weights.h5'"),
        "wrong shape": (zipped(saved(good_network(7, (96, 96, 3)))), r"\(96, 96, 3\)"),
        "five classes": (zipped(saved(good_network(5))), "5 numbers"),
        "custom layer": (
            with_layer(good, layer("Mine", "student") | {"registered_name": "student>Mine"}),
            "student.Mine",
        ),
        "weights in another file": (weighted(good, lambda file: _external(file, secret)), "another file"),
        "link to another file": (
            weighted(good, lambda file: file.__setitem__("x", h5py.ExternalLink(str(secret), "/"))),
            "link",
        ),
        "weights that unpack to a terabyte": (
            weighted(
                good,
                lambda file: file.create_dataset(
                    "x", (10**6, 10**6), "u1", chunks=(1000, 1000), compression=1
                ),
            ),
            "unpack to",
        ),
        "no numbers": (weighted(good, _not_a_number), "finite"),
    }


def _lambda(canary: Path) -> bytes:
    inputs = keras.Input((48, 48, 1))
    hidden = keras.layers.Lambda(
        lambda x, path=str(canary): (open(path, "w").close(), x)[1], output_shape=(48, 48, 1)
    )(inputs)
    outputs = keras.layers.Dense(7, activation="softmax")(keras.layers.Flatten()(hidden))
    canary.unlink(missing_ok=True)  # building ran it
    content = zipped(saved(keras.Model(inputs, outputs)))
    canary.unlink(missing_ok=True)
    return content


def _giant(good: dict[str, bytes]) -> bytes:
    """Two layers of 65,536 units: 17 GB between them, though no number is large."""
    dense = [layer("Dense", name=f"dense_{n}", units=65_536, activation="relu") for n in (1, 2)]
    return described(good, lambda config: config["config"]["layers"].__setitem__(slice(-1, -1), dense))


def _with_side(content: bytes) -> bytes:
    """The file with an array in its weights that has a side of 65,536: the description's numbers fit now."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return weighted(members, lambda file: file.create_dataset("x", data=np.zeros(65_536, np.uint8)))


def _many() -> bytes:
    """A list of 400,000 different numbers as JSON."""
    return json.dumps(np.random.default_rng(0).random(400_000).round(4).tolist()).encode()


def _upsampling() -> bytes:
    """48 × 48 → 6,000 × 6,000 and back: harmless to load, 144 MB an image to ask."""
    inputs = keras.Input((48, 48, 1))
    large = keras.layers.UpSampling2D(125)(inputs)
    outputs = keras.layers.Dense(7, activation="softmax")(keras.layers.GlobalAveragePooling2D()(large))
    return zipped(saved(keras.Model(inputs, outputs)))


def _doubled(good: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO(zipped(good))
    with zipfile.ZipFile(buffer, "a") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr("config.json", b"{}")
    return buffer.getvalue()


def _link(good: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in good.items():
            entry = zipfile.ZipInfo(name)
            if name == "config.json":
                entry.create_system, entry.external_attr = 3, 0o120777 << 16
                content = b"/etc/passwd"
            archive.writestr(entry, content)
    return buffer.getvalue()


def _bomb(good: dict[str, bytes]) -> bytes:
    """`config.json` of 2 GB spaces in 2 MB: one packed megabyte, repeated (a full flush makes that legal)."""
    block = b" " * 2**20
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = piece * 2048 + zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    checksum = 0
    for _ in range(2048):
        checksum = zlib.crc32(block, checksum)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("metadata.json", good["metadata.json"])
        archive.writestr("model.weights.h5", good["model.weights.h5"])
        entry = zipfile.ZipInfo("config.json")
        entry.compress_type, entry.header_offset = zipfile.ZIP_DEFLATED, buffer.tell()
        entry.CRC, entry.compress_size, entry.file_size = checksum, len(packed), 2048 * 2**20
        name = entry.filename.encode()
        sizes = (checksum, len(packed), 2048 * 2**20)
        buffer.write(
            struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 33, *sizes, len(name), 0) + name + packed
        )
        archive.filelist.append(entry)
        archive.start_dir = buffer.tell()
        archive._didModify = True  # so that closing writes the list of entries
    return buffer.getvalue()


def _flipped(good: dict[str, bytes]) -> bytes:
    content = bytearray(zipped(good, zipfile.ZIP_STORED))
    content[content.find(good["model.weights.h5"][:64]) + 5000] ^= 1
    return bytes(content)


def _external(file: h5py.File, secret: Path) -> None:
    file.create_dataset("stolen", (6,), "u1", external=[(str(secret), 0, 6)])


def _not_a_number(file: h5py.File) -> None:
    def spoil(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape == (7,):
            item[...] = np.full(7, np.nan, np.float32)

    file.visititems(spoil)
