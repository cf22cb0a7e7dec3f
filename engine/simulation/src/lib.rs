#![doc = "valet-simulation"]
