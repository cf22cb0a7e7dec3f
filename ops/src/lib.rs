#![doc = "valet"]
