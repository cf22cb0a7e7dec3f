#![doc = "valet-workers"]
