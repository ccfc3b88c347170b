// Passphrases and keys on the command line: how they come in, and that they never come out.
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <filesystem>

#include <gtest/gtest.h>

#include "tests/support/mount.h"
#include "tests/support/temp_dir.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using test::Said;
using test::TempDir;

constexpr std::string_view kSecret = "s3cret-Passphrase";

class KeyCommand : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string options =
        format() == "luks" ? "iter-time=1" : "encrypt.format=luks,encrypt.iter-time=1";
    const Said made =
        cli({"create", "-f", format(), "-o", options, "--key-file", key_, image_, "1M"});
    ASSERT_EQ(made.status, 0) << made.err;
  }
  static std::string format() { return GetParam(); }
  std::string file(const std::string& name, std::string_view contents) const {
    test::write_file(dir_ / name, contents);
    return dir_ / name;
  }
  // The exit status of reading the disk with that key.
  int opens(const std::string& key_file) const {
    const std::string copy = dir_ / "copy.raw";
    const Said said = cli({"convert", image_, copy, "--key-file", key_file});
    std::filesystem::remove(copy);
    return said.status;
  }
  const TempDir dir_;
  const std::string key_ = file("key", kSecret);
  const std::string image_ = dir_ / "disk";
};

TEST_P(KeyCommand, AddsListsAndRemoves) {
  const std::string second = file("second", "another");
  const Said added =
      cli({"key", "add", "--key-file", key_, "--new-key-file", second, "--iter-time", "1", image_});
  ASSERT_EQ(added.status, 0) << added.err;
  EXPECT_NE(added.out.find("key slot 1 has the new key"), std::string::npos);
  EXPECT_EQ(opens(second), 0);
  const auto list = cli({"key", "list", "--json", image_}).json();
  ASSERT_EQ(list.size(), 8U);
  for (size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(list.at(i).at("active"), i < 2);
    EXPECT_EQ(list.at(i).at("iterations") != 0, i < 2);
  }
  ASSERT_EQ(cli({"key", "remove", "--key-file", key_, image_}).status, 0);
  EXPECT_EQ(opens(key_), 1);
  EXPECT_EQ(opens(second), 0);
  EXPECT_EQ(cli({"check", image_}).status, 0);
}

TEST_P(KeyCommand, LeavesTheLastKeyUnlessForced) {
  const Said refused = cli({"key", "remove", "--slot", "0", image_});
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("last key"), std::string::npos);
  EXPECT_EQ(opens(key_), 0);
  EXPECT_EQ(cli({"key", "remove", "--slot", "0", "--force", image_}).status, 0);
  EXPECT_EQ(opens(key_), 1);
  EXPECT_EQ(cli({"key", "remove", "--slot", "0", "--force", image_}).status, 1);
}

TEST_P(KeyCommand, AWrongOrMissingPassphraseIsOneLine) {
  const Said wrong =
      cli({"convert", image_, dir_ / "copy.raw", "--key-file", file("wrong", "not it")});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_EQ(wrong.err, "platter: " + image_ + ": wrong passphrase\n");
  const auto none = test::run({test::program("platter"), "convert", image_, dir_ / "copy.raw"});
  EXPECT_EQ(none.status, 1);
  EXPECT_EQ(none.err, "platter: " + image_ +
                          ": is encrypted, and its key is not given (key-file=FILE gives it)\n");
  EXPECT_FALSE(std::filesystem::exists(dir_ / "copy.raw"));
}

TEST_P(KeyCommand, APassphraseComesByADescriptorOrStandardInput) {
  const std::string copy = dir_ / "copy.raw";
  const auto shell = [&](const std::string& rest) {
    const auto outcome = test::run(
        {"sh", "-c", test::program("platter") + " convert " + image_ + " " + copy + rest});
    std::filesystem::remove(copy);
    return outcome;
  };
  EXPECT_EQ(shell(" --key-fd 7 7<" + key_).status, 0);
  EXPECT_EQ(shell(" --key-file - <" + key_).status, 0);
  EXPECT_EQ(shell(" --key-fd 8").status, 1);
  EXPECT_EQ(shell(" --key-fd x").status, 2);
  EXPECT_EQ(shell(" --key-fd 7 --key-file " + key_ + " 7<" + key_).status, 2);
}

TEST_P(KeyCommand, EveryByteOfAFileCounts) {
  EXPECT_EQ(opens(file("newline", std::string(kSecret) + "\n")), 1);
  EXPECT_EQ(opens(file("empty", "")), 1);
  EXPECT_EQ(opens(dir_ / "none"), 1);
  const std::string binary = file("binary", std::string("a\0\n\xff", 4));
  ASSERT_EQ(
      cli({"key", "add", "--key-file", key_, "--new-key-file", binary, "--iter-time", "1", image_})
          .status,
      0);
  EXPECT_EQ(opens(binary), 0);
}

TEST_P(KeyCommand, MapAndInfoNeedNoKey) {
  const auto map = test::run({test::program("platter"), "map", "--json", image_});
  EXPECT_EQ(map.status, 0) << map.err;
  const auto info = cli({"info", "--json", image_}).json();
  EXPECT_EQ(info.at("encrypted"), true);
  EXPECT_EQ(info.at("details").at("cipher"), "aes");
  EXPECT_EQ(info.at("details").at("cipher_mode"), "xts-plain64");
  EXPECT_EQ(info.at("details").at("hash"), "sha256");
  EXPECT_EQ(info.at("details").at("key_bits"), 512);
  EXPECT_TRUE(info.at("details").contains("key_slot_0"));
  EXPECT_TRUE(info.at("details").contains("luks_uuid"));
  EXPECT_FALSE(info.contains("partitions"));
  EXPECT_TRUE(cli({"info", "--json", "--key-file", key_, image_}).json().contains("partitions"));
}

// The passphrase, and the salts and digests that it could be guessed from, stay where they are.
TEST_P(KeyCommand, NoSecretIsEverPrinted) {
  const std::string wrong = file("wrong", std::string(kSecret) + "x");
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"info", image_},
           {"info", "--json", "--key-file", key_, image_},
           {"info", "--key-file", wrong, image_},
           {"key", "list", image_},
           {"key", "list", "--json", image_},
           {"key", "add", "--key-file", key_, "--new-key-file", wrong, "--iter-time", "1", image_},
           {"key", "remove", "--key-file", file("other", "nothing"), image_},
           {"convert", "--key-file", file("third", "zzz"), image_, dir_ / "copy.raw"},
           {"convert", "--json", "--key-file", key_, image_, dir_ / "copy2.raw"},
           {"check", image_},
           {"map", image_}}) {
    const Said said = cli(words);
    const std::string all = said.out + said.err;
    EXPECT_EQ(all.find(kSecret), std::string::npos) << words[0];
    EXPECT_EQ(all.find("nothing"), std::string::npos);
    EXPECT_EQ(all.find("salt"), std::string::npos);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, KeyCommand, testing::Values("luks", "qcow2"),
                         [](const auto& test) { return std::string(test.param); });

TEST(KeyUsage, WhatDoesNotGoTogetherIsWrongUsage) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"key", "list", "--force", "a"},
                                             {"key", "add", "--slot", "1", "a"},
                                             {"key", "remove", "--new-key-file", "k", "a"},
                                             {"key", "remove", "--slot", "8", "a"},
                                             {"key", "add", "--iter-time", "0", "a"},
                                             {"key", "change", "a"},
                                             {"key", "list"}}) {
    EXPECT_EQ(cli(words).status, 2) << words[1];
  }
}

TEST(KeyUsage, AnImageWithoutSlotsSaysSo) {
  const TempDir dir;
  test::write_file(dir / "key", kSecret);
  ASSERT_EQ(cli({"create", "-f", "qcow2", dir / "plain", "1M"}).status, 0);
  ASSERT_EQ(cli({"create", "-f", "qcow2", "-o", "encrypt.format=aes", "--key-file", dir / "key",
                 dir / "aes", "1M"})
                .status,
            0);
  const Said plain = cli({"key", "list", dir / "plain"});
  EXPECT_EQ(plain.status, 1);
  EXPECT_NE(plain.err.find("is not encrypted"), std::string::npos);
  const Said aes = cli({"key", "list", dir / "aes"});
  EXPECT_EQ(aes.status, 1);
  EXPECT_NE(aes.err.find("has no key slots"), std::string::npos);
}

// Neither a core dump nor a debugger of another process gets at the keys of one that has them.
TEST(KeySecrecy, AProcessWithAKeyLeavesNoCoreDump) {
  const TempDir dir;
  test::write_file(dir / "key", kSecret);
  ASSERT_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
  ASSERT_EQ(cli({"create", "-f", "luks", "-o", "iter-time=1", "--key-file", dir / "key",
                 dir / "a.luks", "64k"})
                .status,
            0);
  EXPECT_EQ(prctl(PR_GET_DUMPABLE), 0);
  prctl(PR_SET_DUMPABLE, 1);
}

}  // namespace
}  // namespace platter
