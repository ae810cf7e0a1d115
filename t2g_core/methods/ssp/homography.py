# SPDX-FileCopyrightText: 2026 The t2g_ros developers
# SPDX-License-Identifier: Apache-2.0
"""Where a plane of the scene went between two frames, and maps moved along it or along a flow."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch.nn import functional as F

RATIO = 0.8  # of the best match's distance to the second best's
INLIER_PIXELS = 2.5  # of RANSAC
LEAST_MATCHES = 4
SMALLEST_SCALE = 0.1  # of an area; what shrinks or mirrors more is no view of the same scene


def find_homography(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The homography that takes pixels of the frame before to this frame's: (3, 3) float32.

    now, before: (H, W) uint8 grey. SIFT keypoints, which OpenCV 4 and 5 both have (AKAZE left the
    main modules), the ratio test, RANSAC. The identity where nothing is found: in fog there may be
    no keypoint at all, and few matches may give a matrix that is none.
    """
    identity = np.eye(3, dtype=np.float32)
    detector = cv2.SIFT_create()
    (points, found), (old_points, old) = (
        detector.detectAndCompute(image, None) for image in (now, before)
    )
    if found is None or old is None or min(len(found), len(old)) < LEAST_MATCHES:
        return identity
    pairs = cv2.BFMatcher().knnMatch(old, found, k=2)
    matches = [p[0] for p in pairs if len(p) == 2 and p[0].distance < RATIO * p[1].distance]
    if len(matches) < LEAST_MATCHES:
        return identity
    source = np.float32([old_points[m.queryIdx].pt for m in matches])
    target = np.float32([points[m.trainIdx].pt for m in matches])
    matrix, _ = cv2.findHomography(source, target, cv2.RANSAC, INLIER_PIXELS)
    if matrix is None or not is_a_view(matrix, now.shape):
        return identity
    return matrix.astype(np.float32)


def is_a_view(matrix: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Whether a homography keeps every corner of an image (H, W) in front of the camera, and its
    area above a tenth, not mirrored.
    """
    if not np.isfinite(matrix).all():
        return False
    height, width = shape[:2]
    corners = np.array([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], float)
    moved = corners @ matrix.T
    if (moved[:, 2] < 1e-3).any():
        return False
    x, y = moved[:, 0] / moved[:, 2], moved[:, 1] / moved[:, 2]
    area = 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))  # shoelace
    return bool(area > SMALLEST_SCALE * height * width)


def move(maps: torch.Tensor, homography: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Maps of the frame before where they are now: bilinear, zero where nothing was seen.

    maps (B, C, h, w) of any stride; homography (B, 3, 3) in pixels of an image of `size` (height,
    width); pixel centres are whole numbers, as OpenCV has them.
    """
    height, width = maps.shape[-2:]
    y, x = (  # centres of the cells in pixels of the image
        (torch.arange(side, device=maps.device) + 0.5) * (whole / side) - 0.5
        for side, whole in ((height, size[0]), (width, size[1]))
    )
    here = torch.stack(
        [
            x.expand(height, -1),
            y[:, None].expand(-1, width),
            torch.ones(1, 1).to(x).expand(height, width),
        ]
    ).flatten(1)  # (3, h * w)
    there = torch.linalg.inv(homography.float()) @ here
    depth = there[:, 2:].clamp(min=1e-6)
    points = (there[:, :2] / depth).transpose(1, 2).unflatten(1, (height, width))
    return sample(maps, points, size)


def sample(maps: torch.Tensor, points: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Maps (B, C, h, w) at points (B, h', w', 2), x and y in pixels of an image of `size`."""
    extent = torch.tensor([size[1], size[0]], device=maps.device)
    where = 2 * (points + 0.5) / extent - 1
    return F.grid_sample(maps, where.to(maps.dtype), align_corners=False)


def dense_flow(now: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Where each pixel was in the frame before: now, before (H, W) uint8 -> (H, W, 2) float32, x
    and y offsets in pixels. Dense Inverse Search, as OpenCV has it.
    """
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(now, before, None)
