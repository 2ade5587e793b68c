"""Writes stored.npz and deflated.npz. Most arrays count from -2."""
import numpy as np

values = np.arange(6).reshape(1, 2, 3) - 2
arrays = {
    "Transformer/block_0/kernel": values.astype("<f4"),
    "fortran": np.asfortranarray(values.reshape(2, 3).astype("<f8")),
    "fortran3": np.asfortranarray(np.arange(24).reshape(2, 3, 4).astype("<i2") - 2),
    "half": values.astype("<f2"),
    "bfloat16": (values.astype("<f4").view("<u4") >> 16).astype("<u2").view("V2"),
    "scalar": np.float32(-2),
    "vector": np.array([-2, -1], "<i8"),
    "bytes": np.array([0, 255], "u1"),
    "bool": np.array([[True], [False]]),
    "empty": np.zeros((0, 3), "<f4"),
    "long": np.repeat(np.arange(100), 400).astype("<i4"),
    "big_endian": np.zeros(2, ">f4"),
    "complex": np.zeros(2, "<c8"),
    "text": np.array("name"),
}
long = arrays.pop("long")
np.savez("stored.npz", **arrays)
np.savez_compressed("deflated.npz", long=long, zeros=np.zeros(70000, "<f4"), **arrays)
