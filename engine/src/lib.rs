#![doc = "valet-engine"]
