"""`t2g export`: real graphs in ONNX Runtime, streamed beside PyTorch, and what is refused."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from small_checkpoint import write_vit_s_checkpoint
from small_model import small_method

from t2g_core.cli import main
from t2g_core.export import command
from t2g_core.export.graphs import example_of, step_inputs, write_step
from t2g_core.runtime.exported_method import ExportedMethod
from t2g_core.runtime.manifest import MANIFEST, read_manifest
from t2g_core.runtime.sessions import open_session
from t2g_core.streaming.streaming_segmenter import StreamingSegmenter


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    write_vit_s_checkpoint(path, clip_length=3)
    return path


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    """The folder, and its manifest as JSON."""
    folder = tmp_path_factory.mktemp("export") / "small"
    assert main(["export", str(checkpoint), "--out", str(folder)]) == 0
    return folder, json.loads((folder / MANIFEST).read_text())


def frames(count: int, height: int = 64, width: int = 96) -> np.ndarray:
    rng = np.random.default_rng(5)
    return rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def test_masks_of_a_stream_are_pytorchs_from_the_first_frame_on(checkpoint, exported):
    folder, _ = exported
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
    together = theirs.encode_together(list(frames(2)))  # two cameras
    np.testing.assert_array_equal(together[1].features[0], theirs.encode(frames(2)[1]).features[0])


def test_the_manifest_says_what_the_graphs_take(exported):
    folder, manifest = exported
    step = onnx.load(folder / "step.onnx")
    specs = [*manifest["features"], *manifest["state"], *manifest["motions"]]
    expected = [spec["name"] for spec in specs] + ["step_s"]
    assert [one.name for one in step.graph.input] == expected
    outputs = [one.name for one in step.graph.output]
    assert outputs == ["probs", *(f"next_{spec['name']}" for spec in manifest["state"])]
    assert manifest["opset"] == step.opset_import[0].version == 18
    for check in manifest["check"].values():
        assert check["equal"] > 0.9999 and check["frames"] == 12
    assert set(manifest["check"]) == {"clear", "fog"}
    assert manifest["versions"]["torch"] == torch.__version__.partition("+")[0]
    for graph in folder.glob("*.onnx"):  # no path of the machine that exported
        assert not re.search(rb"/(home|root|work|tmp|usr)/", graph.read_bytes())


@pytest.mark.parametrize("head", ["conv", "deformable"])
@torch.no_grad()
def test_every_method_that_streams_exports(head, tmp_path):
    method = small_method(head)
    example = example_of(method, method.prepare(frames(1)[0], (96, 64)), 0.1)
    write_step(method, example, tmp_path / "step.onnx")
    step = open_session(tmp_path / "step.onnx", "cpu", threads=1)
    takes = {one.name for one in step.get_inputs()}
    inputs = {name: x.numpy() for name, x in step_inputs(example) if name in takes}
    found = step.run(None, inputs)
    probs, _ = method.step(example.features, example.state, example.motion, example.step_s)
    np.testing.assert_allclose(found[0], probs.numpy(), atol=1e-5)


def test_a_folder_is_taken_where_a_checkpoint_is(exported, tmp_path, capsys):
    folder, _ = exported
    (tmp_path / "clip").mkdir()
    for number, frame in enumerate(frames(3)):
        Image.fromarray(frame).save(tmp_path / "clip" / f"{number}.png")
    words = ["segment", str(tmp_path / "clip"), "--checkpoint", str(folder), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["masks_received"] == 3
    assert main([*words, "--encoder-weights", "random"]) == 2
    assert "holds its own" in capsys.readouterr().err


def test_it_is_evaluated_beside_its_checkpoint(checkpoint, exported, tmp_path, capsys):
    root = tmp_path / "data"
    for folder in ("images", "labels"):
        (root / "val" / folder).mkdir(parents=True)
    for number, frame in enumerate(frames(3)):
        Image.fromarray(frame).save(root / "val" / "images" / f"0016E5_{number:05d}.png")
        label = Image.fromarray(frame[..., 0] % 11)
        label.save(root / "val" / "labels" / f"0016E5_{number:05d}.png")
    words = ["eval", "--root", str(root), "--precision", "fp32", "--json"]
    words += ["--checkpoint", str(exported[0]), "--checkpoint", str(checkpoint)]
    assert main(words) == 0
    one, other = json.loads(capsys.readouterr().out)["results"]
    assert one["checkpoint"] == str(exported[0]) and one["precision"] == "fp32"
    assert one["miou"] == pytest.approx(other["miou"], abs=0.05)
    assert main([*words, "--mode", "clip"]) == 2
    assert "is an export, which streams as it is" in capsys.readouterr().err


def test_the_node_runs_it(exported, tmp_path):
    pytest.importorskip("rclpy", reason="needs ROS 2: make setup, then . .ci/environment.sh")
    from node_harness import message_of, running

    theirs = StreamingSegmenter.from_checkpoint(exported[0])
    frame = frames(1)[0]
    with running(tmp_path, exported[0]) as harness:
        harness.segment(message_of(frame, 5.0))
        mask = np.frombuffer(harness.mask[0].data, np.uint8).reshape(frame.shape[:2])
        assert "small on cpu in fp32, 11 classes, clips of 3 frames" in harness.words()
    np.testing.assert_array_equal(mask, theirs.step(frame, theirs.start())[0].mask)


def test_frames_of_another_shape_name_the_export_for_them(exported):
    with pytest.raises(ValueError, match=r"takes 160x112, .*`t2g export --size 112x160` makes"):
        StreamingSegmenter.from_checkpoint(exported[0]).encode(frames(1, 96, 64)[0])


def test_what_is_not_as_it_was_written_is_refused(exported, tmp_path):
    folder, manifest = exported
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    step = copy / "step.onnx"
    data = bytearray(step.read_bytes())
    data[len(data) // 2] ^= 1
    step.write_bytes(data)
    with pytest.raises(ValueError, match=r"step\.onnx is not the file of its manifest"):
        ExportedMethod(copy)
    step.unlink()
    with pytest.raises(FileNotFoundError, match=r"step\.onnx is missing; copy the whole folder"):
        ExportedMethod(copy)
    (copy / MANIFEST).write_text(json.dumps(manifest | {"format": "t2g-export-9"}))
    with pytest.raises(ValueError, match="expected format t2g-export-1, got 't2g-export-9'"):
        read_manifest(copy)
    (copy / MANIFEST).write_text(json.dumps({"format": "t2g-export-1"}))
    with pytest.raises(ValueError, match=r"manifest\.json: .*; export the checkpoint again"):
        read_manifest(copy)
    with pytest.raises(FileNotFoundError, match="no export"):
        ExportedMethod(tmp_path)


def test_a_graph_that_onnx_runtime_cannot_load_is_a_sentence(exported, tmp_path):
    folder, manifest = exported
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "encoder.onnx").write_bytes(b"no graph")
    (broken / "step.onnx").write_bytes((folder / "step.onnx").read_bytes())
    files = {name: command.sha256(broken / name) for name in manifest["files"]}
    (broken / MANIFEST).write_text(json.dumps(manifest | {"files": files}))
    with pytest.raises(ValueError, match=r"ONNX Runtime cannot load .*encoder\.onnx: "):
        ExportedMethod(broken)


def test_a_device_that_is_not_there_is_said(exported):
    if torch.cuda.is_available():
        assert ExportedMethod(exported[0], "cuda").num_classes
    else:
        with pytest.raises(ValueError, match="device cuda: ONNX Runtime .* has no CUDA here"):
            ExportedMethod(exported[0], "cuda")


def test_graphs_that_differ_are_not_left_in_place(
    checkpoint, exported, tmp_path, monkeypatch, capsys
):
    def copied(method, example, path):
        shutil.copy(exported[0] / path.name, path)

    for name in ("write_encoder", "write_step"):
        monkeypatch.setattr(command, name, copied)
    compared = {"frames": 12, "equal": 0.9, "largest_difference": 0.3}
    monkeypatch.setattr(command, "compare", lambda *_: compared)
    assert main(["export", str(checkpoint), "--out", str(tmp_path / "out")]) == 2
    assert "90.000 % of pixels are equal, expected 99.99; nothing was written" in (
        capsys.readouterr().err
    )
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    assert main(["export", str(checkpoint), "--out", str(tmp_path / "mine")]) == 2
    assert "is there and is no export; name another folder" in capsys.readouterr().err
