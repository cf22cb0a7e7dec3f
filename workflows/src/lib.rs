#![doc = "valet-workflows"]
