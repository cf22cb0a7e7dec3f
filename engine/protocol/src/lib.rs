#![doc = "valet-protocol"]
