"""Networks that others used on Galaxy Zoo's images, written anew in plain PyTorch: what ours is compared with."""
