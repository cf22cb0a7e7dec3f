#![doc = "valet-stack"]
