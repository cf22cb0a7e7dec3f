#![doc = "valet-board"]
