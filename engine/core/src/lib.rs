#![doc = "valet-core"]
