#include "lib/base/log.h"

#include <algorithm>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "tests/support/temp_dir.h"

namespace platter {
namespace {

using test::TempDir;

// Each test leaves the log as a fresh process has it.
class Log : public ::testing::Test {
 protected:
  ~Log() override {
    log::set_level(log::Level::warning);
    log::use(log::Target::standard_error, "platter");
  }
  TempDir dir_;
};

TEST_F(Log, WritesALineAMessageWithTheProgramsName) {
  ASSERT_TRUE(log::use(log::Target::file, "platterfs", dir_ / "log"));
  log::warning("{}: entry {} is odd", "a.vdi", 7);
  const std::string text = test::read_file(dir_ / "log");
  EXPECT_TRUE(text.ends_with(" platterfs: warning: a.vdi: entry 7 is odd\n")) << text;
}

TEST_F(Log, SaysNothingBelowItsLevel) {
  ASSERT_TRUE(log::use(log::Target::file, "platterfs", dir_ / "log"));
  log::info("one");
  log::set_level(log::Level::debug);
  log::debug("two");
  log::set_level(log::Level::error);
  log::warning("three");
  log::error("four");
  const std::string text = test::read_file(dir_ / "log");
  EXPECT_EQ(text.find("one"), std::string::npos);
  EXPECT_NE(text.find("two"), std::string::npos);
  EXPECT_EQ(text.find("three"), std::string::npos);
  EXPECT_NE(text.find("four"), std::string::npos);
}

TEST_F(Log, KeepsItsLevelWhenTheTargetChanges) {
  log::set_level(log::Level::debug);
  ASSERT_TRUE(log::use(log::Target::file, "platterfs", dir_ / "log"));
  log::debug("heard");
  EXPECT_NE(test::read_file(dir_ / "log").find("heard"), std::string::npos);
}

TEST_F(Log, EscapesWhatANameInAnImageSmugglesIn) {
  ASSERT_TRUE(log::use(log::Target::file, "platterfs", dir_ / "log"));
  log::warning("names \"{}\"", "a\nplatterfs: all is well\x1b[2J{}");
  const std::string text = test::read_file(dir_ / "log");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  EXPECT_NE(text.find("a\\x0aplatterfs: all is well\\x1b[2J{}"), std::string::npos) << text;
}

TEST_F(Log, AFileThatCannotBeOpenedChangesNothing) {
  ASSERT_TRUE(log::use(log::Target::file, "platterfs", dir_ / "log"));
  EXPECT_FALSE(log::use(log::Target::file, "platterfs", dir_ / "log/below-a-file"));
  log::warning("still here");
  EXPECT_NE(test::read_file(dir_ / "log").find("still here"), std::string::npos);
}

TEST_F(Log, GoesToStandardErrorUntilToldOtherwise) {
  log::use(log::Target::standard_error, "platter");
  ::testing::internal::CaptureStderr();
  log::warning("seen");
  log::info("not seen");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "platter: seen\n");
}

TEST_F(Log, ManyThreadsLoseNoLineWhileTheTargetChanges) {
  ASSERT_TRUE(log::use(log::Target::file, "platterfs", dir_ / "log"));
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 200; ++i) log::warning("line");
    });
  }
  for (int i = 0; i < 20; ++i) {
    log::use(log::Target::file, "platterfs", dir_ / "log");
    log::set_level(log::Level::warning);
  }
  threads.clear();
  const std::string text = test::read_file(dir_ / "log");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 800);
}

}  // namespace
}  // namespace platter
