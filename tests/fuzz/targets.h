// What the fuzzers do with the bytes they are given; the smoke test does the same with its own.
#pragma once

#include "lib/base/range.h"

namespace platter::test {

// Every format opens the bytes as an image, with no other file in reach, and tells and reads
// bounded parts of the disk. Ends the program when an answer breaks the contract of Image.
void fuzz_open(Bytes input);

// The bytes are a disk whose partition table is read.
void fuzz_partition(Bytes input);

// The bytes are a cache image, whose checksums are put right first: so what is behind them is
// looked at, too. A disk is read by way of it.
void fuzz_cache(Bytes input);

}  // namespace platter::test
