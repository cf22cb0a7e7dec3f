#![doc = "valet-tests"]
