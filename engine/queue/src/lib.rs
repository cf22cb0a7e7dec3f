#![doc = "valet-queue"]
