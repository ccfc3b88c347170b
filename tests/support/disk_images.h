// Images for mount tests, made by hand.
#pragma once

#include <string>
#include <vector>

#include "lib/base/range.h"

namespace platter::test {

// Bytes that differ from sector to sector and from seed to seed.
std::string sector_text(size_t size, unsigned seed = 0);

// A disk of 1 MiB with a pattern and an MBR: partition 1 is sectors 64 to 1023, partition 2 is
// sectors 1024 to 1123.
std::string partitioned_disk();
inline constexpr Range kFirstPartition{64 * 512, 960 * 512};
inline constexpr Range kSecondPartition{1024 * 512, 100 * 512};

// A qcow2 of 32 clusters of 512 bytes: cluster 0 is 512 bytes 0xd5, the rest is its parent's.
// parent: as the image names it; empty: none.
inline constexpr uint64_t kOverlaySize = 16 * KiB;
void write_overlay(const std::string& path, const std::string& parent,
                   const std::string& parent_format = "");

// depth images 0.qcow2, 1.qcow2 …: each names the next as its parent, all but the last.
void write_chain(const std::string& directory, unsigned depth);

// A sparse file: data (a pattern) where said, holes elsewhere.
void write_sparse(const std::string& path, uint64_t size, const std::vector<Range>& data);

}  // namespace platter::test
