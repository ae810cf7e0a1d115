# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""`t2g export`: real graphs in ONNX Runtime, streamed beside PyTorch, and what is refused."""

from __future__ import annotations

import importlib.util
import json
import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from fault_scale import note, size
from PIL import Image
from small_model import small_method

from t2g_core.cli import main
from t2g_core.export import command
from t2g_core.export.graphs import step_inputs, write_encoder, write_step
from t2g_core.export.precision import FP16, INT8, convert_to_float16, quantise_encoder
from t2g_core.runtime import engines
from t2g_core.runtime.engines import Engine, OnnxGraph, load_graph, why_not
from t2g_core.runtime.manifest import MANIFEST, read_manifest, sha256
from t2g_core.runtime.onnx_runtime import OnnxRuntime
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter
from t2g_core.street.scene import StreetScene


@pytest.fixture
def manifest(exported) -> dict:
    return json.loads((exported / MANIFEST).read_text())


def frames(count: int, height: int = 64, width: int = 96) -> np.ndarray:
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_masks_of_a_stream_are_pytorchs_from_the_first_frame_on(checkpoint, exported):
    folder = exported
    ours = StreamingSegmenter.from_checkpoint(checkpoint, precision="fp32")
    theirs = StreamingSegmenter.from_checkpoint(folder)
    assert (theirs.class_names, theirs.clip_length) == (ours.class_names, ours.clip_length)
    assert (theirs.palette == ours.palette).all()
    states = ours.start(), theirs.start()
    for frame in frames(5):
        one, state = ours.step(frame, states[0], 0.2)
        other, after = theirs.step(frame, states[1], 0.2)
        assert (one.mask == other.mask).mean() > 0.999
        assert np.abs(one.confidence.astype(int) - other.confidence).max() <= 1
        assert state.memory_fill == after.memory_fill
        states = state, after


@pytest.mark.parametrize("size", [(60, 120), (120, 40), (33, 35)])
def test_images_of_any_shape(size, checkpoint, exported):
    """Each is resized to its own aspect ratio, and positions are resampled to it."""
    ours = StreamingSegmenter.from_checkpoint(checkpoint, precision="fp32")
    theirs = StreamingSegmenter.from_checkpoint(exported)
    states = ours.start(), theirs.start()
    for frame in frames(2, *size):
        one, state = ours.step(frame, states[0], 0.2)
        other, after = theirs.step(frame, states[1], 0.2)
        assert (one.mask == other.mask).mean() > 0.999
        states = state, after


def test_cameras_of_one_shape_are_encoded_in_one_pass(exported, monkeypatch):
    theirs = StreamingSegmenter.from_checkpoint(exported)
    images = [*frames(2), frames(1, 96, 64)[0]]
    alone = [theirs.encode(image).features for image in images]
    runs, encoder = [], theirs.runtime._encoder
    run = encoder.run
    monkeypatch.setattr(encoder, "run", lambda feed: runs.append(len(feed["image"])) or run(feed))
    together = theirs.encode_together(images)
    assert runs == [2, 1]
    for one, encoded in zip(alone, together, strict=True):
        for x, y in zip(one, encoded.features, strict=True):
            np.testing.assert_allclose(x, y, atol=2e-4)


def test_a_swap_with_the_same_encoder_loads_the_step_alone(exported):
    first = StreamingSegmenter.from_checkpoint(exported).runtime
    second = StreamingSegmenter.from_checkpoint(exported).runtime
    assert second._encoder is first._encoder and second._step is not first._step


def test_a_state_that_stays_on_the_device_gives_the_same_masks(exported):
    """As on a GPU, by bound outputs; no state is written to that somebody keeps."""
    theirs = StreamingSegmenter.from_checkpoint(exported)
    bound = StreamingSegmenter.from_checkpoint(exported)
    here = Engine("cpu", 0, 1)
    bound.runtime._encoder = OnnxGraph(exported / "encoder.onnx", here, stay=True)
    bound.runtime._step = OnnxGraph(exported / "step.onnx", here, stay=True)
    states, kept = (theirs.start(), bound.start()), []
    for frame in frames(4):
        one, state = theirs.step(frame, states[0], 0.2)
        other, after = bound.step(frame, states[1], 0.2)
        np.testing.assert_array_equal(one.mask, other.mask)
        assert not isinstance(after.method[0], np.ndarray)
        kept.append((after, [x.numpy().copy() for x in after.method]))
        states = state, after
    for after, values in kept:
        assert all(map(np.array_equal, values, [x.numpy() for x in after.method]))


OPENVINO = """
import sys
import numpy as np
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter

theirs = StreamingSegmenter.from_checkpoint(sys.argv[1])
others = StreamingSegmenter.from_checkpoint(sys.argv[1], "openvino", precision="fp32")
assert (others.device, others.precision) == ("openvino", "fp32")
images = np.random.default_rng(5).integers(0, 256, (4, 64, 96, 3), dtype=np.uint8)
states, kept = (theirs.start(), others.start()), []
for image in images:
    one, state = theirs.step(image, states[0], 0.2)
    other, after = others.step(image, states[1], 0.2)
    assert (one.mask == other.mask).mean() > 0.999
    kept.append((after, [x.copy() for x in after.method]))
    states = state, after
for after, values in kept:  # no state is written to that somebody keeps
    assert all(map(np.array_equal, values, after.method))
print("equal")
"""


def test_openvino_gives_the_same_masks(exported):
    """In a process of its own, whose threads no other test meets."""
    if importlib.util.find_spec("openvino") is None:
        pytest.skip("the extra `openvino` is not installed")
    words = [sys.executable, "-c", OPENVINO, str(exported)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "equal", done.stderr


def test_a_run_that_fails_is_one_sentence_and_the_next_one_works(exported):
    """As for want of memory on a GPU: the node drops the frame, counts it and goes on."""
    theirs = StreamingSegmenter.from_checkpoint(exported)
    encoded = theirs.encode(frames(1)[0])
    broken = replace(encoded, features=encoded.features[:-1] + (encoded.features[-1][:, :2],))
    with pytest.raises(RuntimeError, match=r"^ONNX Runtime: .*") as caught:
        theirs.step_encoded(broken, theirs.start())
    assert "\n" not in str(caught.value)
    result, _ = theirs.step_encoded(encoded, theirs.start())
    assert result.mask.shape == (64, 96)


@pytest.mark.parametrize(
    ("precision", "least"), [(INT8, 0.9), pytest.param(FP16, 0.995, marks=pytest.mark.long)]
)
def test_fewer_bits_cost_little(precision, least, exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / precision)
    if precision == INT8:
        quantise_encoder(folder / "encoder.onnx")
        assert (folder / "encoder.onnx").stat().st_size < 30e6
    else:
        convert_to_float16([folder / "encoder.onnx", folder / "step.onnx"])
        assert (folder / "encoder.onnx").stat().st_size < 50e6
    sums = {name: sha256(folder / name) for name in read_manifest(exported).files}
    replace(read_manifest(exported), precision=precision, files=sums).write(folder)
    whole = StreamingSegmenter.from_checkpoint(exported)
    other = StreamingSegmenter.from_checkpoint(folder)
    assert other.precision == precision
    states, equal = (whole.start(), other.start()), []
    for frame, _ in StreetScene(3, 4, 160, 112):
        results = [
            one.step(frame, state) for one, state in zip((whole, other), states, strict=True)
        ]
        states = [state for _, state in results]
        equal.append((results[0][0].mask == results[1][0].mask).mean())
    assert least < np.mean(equal)  # the sizes above say that the numbers are others


def test_the_manifest_says_what_the_graphs_take(exported, manifest):
    folder = exported
    step = onnx.load(folder / "step.onnx")
    specs = [*manifest["features"], *manifest["state"], *manifest["motions"]]
    assert set(manifest["files"]) == {f.name for f in folder.iterdir()} - {MANIFEST}
    assert specs[0] == {"name": "features_0", "dtype": "float32", "shape": [1, None, None, 384]}
    expected = [spec["name"] for spec in specs] + ["step_s"]
    assert [one.name for one in step.graph.input] == expected
    outputs = [one.name for one in step.graph.output]
    assert outputs == ["probs", *(f"next_{spec['name']}" for spec in manifest["state"])]
    assert manifest["opset"] == step.opset_import[0].version == 18
    for check in manifest["check"].values():
        assert check["equal"] > 0.9999 and check["frames"] == 12
    assert set(manifest["check"]) == {"clear", "fog", "dark"}
    assert manifest["versions"]["torch"] == torch.__version__.partition("+")[0]
    for graph in folder.glob("*.onnx"):  # no path of the machine that exported
        assert not re.search(rb"/(home|root|work|tmp|usr)/", graph.read_bytes())


SLOW = [pytest.param(name, marks=pytest.mark.long) for name in ("stem", "deformable", "rein")]


@pytest.mark.parametrize("head", SLOW)
@torch.no_grad()
def test_every_method_that_streams_exports(head, tmp_path):
    method = small_method(head)
    if head == "stem":
        torch.nn.init.normal_(method.head.pixel_classifier.detail.weight)
    one, other = command.examples(method)
    write_step(method, one, other, tmp_path / "step.onnx")
    step = load_graph(tmp_path / "step.onnx", Engine("cpu"))
    for example in (one, other):
        inputs = {name: x.numpy() for name, x in step_inputs(example) if name in step.inputs}
        probs, _ = method.step(example.features, example.state, example.motion, example.step_s)
        np.testing.assert_allclose(step.run(inputs)[0], probs.numpy(), atol=1e-5)


@pytest.mark.parametrize("head", [pytest.param("rein", marks=pytest.mark.long), "stem"])
@torch.no_grad()
def test_an_adapter_is_part_of_the_encoders_graph_and_a_stems_image_passes_it(head, tmp_path):
    method = small_method(head)
    if head == "rein":
        method.adapter.scale.fill_(0.3)
    one, other = command.examples(method)
    write_encoder(method, one, other, tmp_path / "encoder.onnx")
    encoder = load_graph(tmp_path / "encoder.onnx", Engine("cpu"))
    for example in (one, other):
        inputs = {"image": example.image.numpy(), "positions_0": example.positions[0].numpy()}
        for found, wanted in zip(encoder.run(inputs), example.features, strict=True):
            np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


def test_a_method_that_cannot_be_exported_says_why_in_a_sentence(tmp_path, monkeypatch):
    method = small_method("conv")
    one, other = command.examples(method)
    step = method.step

    def by_value(features, *rest):
        probs, state = step(features, *rest)
        return (probs if probs.max() > 0.5 else 1 - probs), state

    monkeypatch.setattr(method, "step", by_value)
    with pytest.raises(ValueError, match=r"^FrameHead cannot be exported, step: .*") as caught:
        write_step(method, one, other, tmp_path / "step.onnx")
    assert "\n" not in str(caught.value)


def test_a_folder_is_taken_where_a_checkpoint_is(exported, tmp_path, capsys):
    folder = exported
    (tmp_path / "clip").mkdir()
    for number, frame in enumerate(frames(3)):
        Image.fromarray(frame).save(tmp_path / "clip" / f"{number}.png")
    words = ["segment", str(tmp_path / "clip"), "--checkpoint", str(folder), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["masks_received"] == 3
    assert main([*words, "--encoder-weights", "random"]) == 2
    assert "holds its own" in capsys.readouterr().err
    assert main([*words, "--windows", "64/32"]) == 2
    assert "sees whole frames, got 64/32" in capsys.readouterr().err


def test_it_is_evaluated_beside_its_checkpoint(checkpoint, exported, tmp_path, capsys):
    root = tmp_path / "data"
    for folder in ("images", "labels"):
        (root / "val" / folder).mkdir(parents=True)
    for number, frame in enumerate(frames(3)):
        Image.fromarray(frame).save(root / "val" / "images" / f"0016E5_{number:05d}.png")
        label = Image.fromarray(frame[..., 0] % 11)
        label.save(root / "val" / "labels" / f"0016E5_{number:05d}.png")
    words = ["eval", "--root", str(root), "--precision", "fp32", "--json"]
    words += ["--checkpoint", str(exported), "--checkpoint", str(checkpoint)]
    assert main(words) == 0
    one, other = json.loads(capsys.readouterr().out)["results"]
    assert one["checkpoint"] == str(exported) and one["precision"] == "fp32"
    assert one["miou"] == pytest.approx(other["miou"], abs=0.05)
    assert main([*words, "--mode", "clip"]) == 2
    assert "is an export, which streams as it is" in capsys.readouterr().err


def test_the_node_runs_it(exported, tmp_path):
    pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . scripts/environment.sh")
    from node_harness import message_of, running

    theirs = StreamingSegmenter.from_checkpoint(exported)
    frame = frames(1)[0]
    with running(tmp_path, exported) as harness:
        harness.segment(message_of(frame, 5.0))
        mask = np.frombuffer(harness.mask[0].data, np.uint8).reshape(frame.shape[:2])
        assert "small on cpu in fp32, 11 classes, clips of 3 frames" in harness.words()
    np.testing.assert_array_equal(mask, theirs.step(frame, theirs.start())[0].mask)


def test_what_is_not_as_it_was_written_is_refused(exported, manifest, tmp_path):
    folder = exported
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    step = copy / "step.onnx"
    data = bytearray(step.read_bytes())
    data[len(data) // 2] ^= 1
    step.write_bytes(data)
    with pytest.raises(ValueError, match=r"step\.onnx is not the file of its manifest"):
        OnnxRuntime(copy)
    step.unlink()
    with pytest.raises(FileNotFoundError, match=r"step\.onnx is missing; copy the whole folder"):
        OnnxRuntime(copy)
    (copy / MANIFEST).write_text(json.dumps(manifest | {"format": "t2g-export-9"}))
    with pytest.raises(ValueError, match="expected format t2g-export-1, got 't2g-export-9'"):
        read_manifest(copy)
    (copy / MANIFEST).write_text(json.dumps({"format": "t2g-export-1"}))
    with pytest.raises(ValueError, match=r"manifest\.json: .*; export the checkpoint again"):
        read_manifest(copy)
    with pytest.raises(FileNotFoundError, match="no export"):
        OnnxRuntime(tmp_path)


def test_mutated_copies_are_refused_with_a_sentence(exported, tmp_path):
    """A graph by its checksum; a manifest that is still read says nothing absurd."""
    folder, rng = tmp_path / "mutated", random.Random(0)
    shutil.copytree(exported, folder)
    whole = read_manifest(folder)
    refused = 0
    for number in range(size(200, 30)):
        file = rng.choice([MANIFEST, MANIFEST, *whole.files])
        content = (exported / file).read_bytes()
        mutated = bytearray(content)
        for _ in range(rng.choice((1, 4, 40))):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        if number % 5 == 4:
            mutated = mutated[: rng.randrange(len(mutated))]
        (folder / file).write_bytes(mutated)
        try:
            found = read_manifest(folder)
        except (ValueError, FileNotFoundError) as error:
            assert str(folder) in str(error)
            refused += 1
        else:
            assert file == MANIFEST or bytes(mutated) == content
            assert found.files.keys() == whole.files.keys()
        (folder / file).write_bytes(content)
    note(f"{size(200, 30)} mutated copies of an export", f"{refused} refused with a sentence")
    assert refused


def test_a_graph_that_onnx_runtime_cannot_load_is_a_sentence(exported, manifest, tmp_path):
    folder = exported
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "encoder.onnx").write_bytes(b"no graph")
    for name in set(manifest["files"]) - {"encoder.onnx"}:
        shutil.copy(folder / name, broken)
    files = {name: sha256(broken / name) for name in manifest["files"]}
    (broken / MANIFEST).write_text(json.dumps(manifest | {"files": files}))
    with pytest.raises(ValueError, match=r"ONNX Runtime cannot load .*encoder\.onnx: "):
        OnnxRuntime(broken)


def test_a_device_that_is_not_there_is_said(exported):
    for name in ("cuda", "tensorrt"):
        if not why_not(name):
            assert OnnxRuntime(exported, name).device == name
        else:
            with pytest.raises(ValueError, match=f"device {name}: ONNX Runtime .*; `t2g doctor`"):
                OnnxRuntime(exported, name)
    with pytest.raises(ValueError, match="precision bf16: of exports only with device openvino"):
        OnnxRuntime(exported, "cpu", "bf16")


def test_a_gpu_that_cannot_be_used_is_a_warning_under_auto(exported, monkeypatch):
    monkeypatch.setattr(engines, "has_gpu", lambda: True)
    monkeypatch.setattr(engines, "why_not", lambda kind: "no library" if kind == "cuda" else "")
    runtime = OnnxRuntime(exported, "auto")
    assert (runtime.device, runtime.warnings) == ("cpu", ("the GPU is not used: no library",))


def test_graphs_that_differ_are_not_left_in_place(
    checkpoint, exported, tmp_path, monkeypatch, capsys
):
    def copied(method, one, other, path):
        shutil.copy(exported / path.name, path)

    for name in ("write_encoder", "write_step", "write_start"):
        monkeypatch.setattr(command, name, copied)
    compared = {"frames": 12, "equal": 0.9, "largest_difference": 0.3}
    monkeypatch.setattr(command, "compare", lambda *_: compared)
    monkeypatch.setattr(command, "streets", lambda size: {"clear": []})
    assert main(["export", str(checkpoint), "--out", str(tmp_path / "out")]) == 2
    assert "clear): 90.000 % of pixels are equal, expected 99.99; nothing was written" in (
        capsys.readouterr().err
    )
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    assert main(["export", str(checkpoint), "--out", str(tmp_path / "mine")]) == 2
    assert "is there and is no export; name another folder" in capsys.readouterr().err
