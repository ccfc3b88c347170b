#include "lib/container/discard_memory.h"

#include <gtest/gtest.h>

namespace platter {
namespace {

constexpr uint64_t kBlock = 4 * KiB;

TEST(DiscardMemory, ABlockIsDeadWhenItsLastSectorIs) {
  DiscardMemory memory(kBlock, 10 * kBlock);
  EXPECT_FALSE(memory.discarded({kBlock, kBlock - 512}));
  EXPECT_TRUE(memory.discarded({2 * kBlock - 512, 512}));
  EXPECT_FALSE(memory.discarded({2 * kBlock - 512, 512}));  // it was forgotten
}

TEST(DiscardMemory, WhatIsWrittenIsAlive) {
  DiscardMemory memory(kBlock, 10 * kBlock);
  EXPECT_FALSE(memory.discarded({0, kBlock - 512}));
  memory.written({100, 1});
  EXPECT_FALSE(memory.discarded({kBlock - 512, 512}));
  EXPECT_TRUE(memory.discarded({0, 512}));
}

TEST(DiscardMemory, TheBlockADiskEndsInHasTheSectorsThatAreThere) {
  DiscardMemory memory(kBlock, kBlock + 1000);
  EXPECT_FALSE(memory.discarded({kBlock, 512}));
  EXPECT_TRUE(memory.discarded({kBlock + 512, 488}));
}

TEST(DiscardMemory, ADiskThatGrewNeedsAllOfItsLastBlockDead) {
  DiscardMemory memory(kBlock, kBlock + 1024);
  EXPECT_FALSE(memory.discarded({0, 512}));
  EXPECT_FALSE(memory.discarded({kBlock, 512}));
  memory.resized(10 * kBlock);
  EXPECT_FALSE(memory.discarded({kBlock + 512, 512}));
  EXPECT_FALSE(memory.discarded({kBlock, 512}));
  EXPECT_TRUE(memory.discarded({kBlock + 1024, kBlock - 1024}));
  EXPECT_TRUE(memory.discarded({512, kBlock - 512}));  // of another block nothing was forgotten
}

TEST(DiscardMemory, OfADiskThatWasCutTheBlocksBehindItsEndAreForgotten) {
  DiscardMemory memory(kBlock, 10 * kBlock);
  EXPECT_FALSE(memory.discarded({kBlock, 1024}));
  EXPECT_FALSE(memory.discarded({5 * kBlock, 512}));
  memory.resized(kBlock + 1024);
  EXPECT_TRUE(memory.discarded({kBlock, 1024}));
  memory.resized(10 * kBlock);
  EXPECT_FALSE(memory.discarded({5 * kBlock + 512, kBlock - 512}));
}

}  // namespace
}  // namespace platter
