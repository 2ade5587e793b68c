"""Writes interpolate.json: position embeddings resized by PyTorch as
transformers' ViTEmbeddings.interpolate_pos_encoding does."""

import json
import os

import torch

torch.manual_seed(5)
cases = []
for n, m, width in [(1, 3, 2), (4, 4, 2), (4, 7, 3), (3, 8, 2), (7, 4, 2), (5, 2, 1)]:
    table = torch.randn(1, 1 + n * n, width)
    grid = table[:, 1:].reshape(1, n, n, width).permute(0, 3, 1, 2)
    grid = torch.nn.functional.interpolate(grid, size=(m, m), mode="bicubic", align_corners=False)
    want = torch.cat([table[:, :1], grid.permute(0, 2, 3, 1).reshape(1, m * m, width)], 1)
    cases.append({
        "from": n, "to": m, "width": width,
        "table": [round(v, 9) for v in table.flatten().tolist()],
        "want": [round(v, 9) for v in want.flatten().tolist()],
    })
with open(os.path.join(os.path.dirname(__file__), "interpolate.json"), "w") as f:
    json.dump(cases, f)
    f.write("\n")
