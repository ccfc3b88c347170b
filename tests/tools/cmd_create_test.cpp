#include <filesystem>

#include <gtest/gtest.h>

#include "tests/lib/ops/each_format.h"
#include "tests/support/temp_dir.h"
#include "tests/tools/cli.h"

namespace platter {
namespace {

using test::cli;
using test::Creatable;
using test::Said;
using test::TempDir;

class CreateCommand : public testing::TestWithParam<Creatable> {
 protected:
  Said create(const std::vector<std::string>& more) const {
    std::vector<std::string> words = {"create",
                                      "-f",
                                      std::string(GetParam().format->name()),
                                      "-o",
                                      GetParam().option_word(),
                                      "--key-file",
                                      key_file_,
                                      path_};
    words.insert(words.end(), more.begin(), more.end());
    return cli(words);
  }
  const TempDir dir_, keys_;
  const std::string path_ = dir_ / "disk", key_file_ = test::key_file_in(keys_.path());
};

TEST_P(CreateCommand, MakesWhatInfoThenDescribes) {
  const Said made = create({"10M"});
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_NE(made.out.find("10 MiB"), std::string::npos);
  const auto info =
      cli({"info", "--json", "-f", std::string(GetParam().format->name()), path_}).json();
  ASSERT_TRUE(info.is_object());
  EXPECT_EQ(info.at("variant"), GetParam().variant);
  EXPECT_EQ(info.at("virtual_size"), 10 * MiB);
  EXPECT_EQ(info.at("guessed"), false);
}

TEST_P(CreateCommand, AnswersInJson) {
  const auto made = create({"10M", "--json"}).json();
  const nlohmann::json wanted = {
      {"file", path_}, {"format", GetParam().format->name()}, {"virtual_size", 10 * MiB}};
  EXPECT_EQ(made, wanted);
}

TEST_P(CreateCommand, IsSilentWhenAskedToBe) { EXPECT_EQ(create({"10M", "-q"}).out, ""); }

TEST_P(CreateCommand, DoesNotOverwrite) {
  test::write_file(path_, "precious");
  const Said made = create({"10M"});
  EXPECT_EQ(made.status, 1);
  EXPECT_EQ(made.err, "platter: " + path_ + ": exists already; it is not overwritten\n");
  EXPECT_EQ(test::read_file(path_), "precious");
}

TEST_P(CreateCommand, LeavesNothingWhenTheFormatRefuses) {
  const Said made = create({std::to_string(kMaxOffset)});
  EXPECT_EQ(made.status, 1);
  EXPECT_TRUE(made.err.starts_with("platter: " + path_ + ": ")) << made.err;
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path()));
}

INSTANTIATE_TEST_SUITE_P(EachVariant, CreateCommand,
                         testing::ValuesIn(test::everything_creatable()), test::name_of);

class CreateChild : public testing::Test {
 protected:
  Said create(const std::vector<std::string>& words) {
    std::vector<std::string> all = {"create"};
    all.insert(all.end(), words.begin(), words.end());
    return cli(all);
  }
  const TempDir dir_;
  const std::string parent_ = dir_ / "parent.vdi", child_ = dir_ / "child.vdi";
};

TEST_F(CreateChild, NamesItsParentAndHasItsSize) {
  ASSERT_EQ(create({"-f", "vdi", parent_, "5M"}).status, 0);
  const std::string before = test::read_file(parent_);
  const Said made = create({"-f", "vdi", "--parent", parent_, child_});
  ASSERT_EQ(made.status, 0) << made.err;
  const auto info = cli({"info", "--json", "--chain", child_}).json();
  EXPECT_EQ(info.at("variant"), "differencing");
  EXPECT_EQ(info.at("virtual_size"), 5 * MiB);
  ASSERT_EQ(info.at("chain").size(), 2u);
  EXPECT_EQ(info.at("parent_uuid"), info.at("chain").at(1).at("uuid"));
  EXPECT_EQ(test::read_file(parent_), before);
}

TEST_F(CreateChild, TakesASizeOfItsOwn) {
  ASSERT_EQ(create({"-f", "vdi", parent_, "5M"}).status, 0);
  ASSERT_EQ(create({"-f", "vdi", "--parent", parent_, child_, "7M"}).status, 0);
  EXPECT_EQ(cli({"info", "--json", child_}).json().at("virtual_size"), 7 * MiB);
}

TEST_F(CreateChild, LeavesNothingWhereThereCannotBeOne) {
  ASSERT_EQ(create({"-f", "raw", dir_ / "a.img", "5M"}).status, 0);
  EXPECT_EQ(create({"-f", "vdi", "--parent", dir_ / "none", child_}).status, 1);
  EXPECT_EQ(create({"-f", "vdi", "--parent", dir_ / "a.img", child_}).status, 1);
  EXPECT_EQ(create({"-f", "raw", "--parent", dir_ / "a.img", child_}).status, 1);
  EXPECT_EQ(create({"-f", "vdi", child_}).status, 2);
  EXPECT_FALSE(std::filesystem::exists(child_));
}

TEST_F(CreateChild, MustBeWhereItFindsItsParent) {
  std::filesystem::create_directory(dir_ / "sub");
  ASSERT_EQ(create({"-f", "vdi", parent_, "5M"}).status, 0);
  const std::string vdi = dir_ / "sub/child.vdi", qcow2 = dir_ / "sub/child.qcow2";
  EXPECT_NE(create({"-f", "vdi", "--parent", parent_, vdi}).err.find("beside it"),
            std::string::npos);
  EXPECT_NE(create({"-f", "qcow2", "--parent", parent_, qcow2}).err.find("references=any"),
            std::string::npos);
  EXPECT_TRUE(std::filesystem::is_empty(dir_ / "sub"));
  for (const std::string& child : {vdi, qcow2}) {
    const std::string format = child == vdi ? "vdi" : "qcow2";
    const Said made = create({"-f", format, "--parent", parent_, "--references=any", child});
    ASSERT_EQ(made.status, 0) << made.err;
    EXPECT_EQ(cli({"map", child}).status, 1);
    EXPECT_EQ(cli({"map", "--references=any", child}).status, 0);
  }
}

TEST_F(CreateChild, OfQcow2NamesAParentOfAnyFormatAsSeenFromItsDirectory) {
  std::filesystem::create_directory(dir_ / "sub");
  const std::string child = dir_ / "child.qcow2";
  for (const std::string name : {"a.img", "a.vdi", "a.qcow2", "with:colon.img"}) {
    const std::string format = name.ends_with("img") ? "raw" : name.substr(2);
    const std::string parent = dir_ / ("sub/" + name);
    ASSERT_EQ(create({"-f", format, parent, "5M"}).status, 0);
    const Said made = create({"-f", "qcow2", "--parent", parent, child});
    ASSERT_EQ(made.status, 0) << made.err;
    const auto info = cli({"info", "--json", "--chain", child}).json();
    EXPECT_TRUE(info.at("parent").get<std::string>().ends_with("sub/" + name));
    EXPECT_EQ(info.at("parent_format"), format);
    EXPECT_EQ(info.at("virtual_size"), 5 * MiB);
    EXPECT_EQ(info.at("chain").size(), 2U);
    std::filesystem::remove(child);
  }
}

TEST_F(CreateChild, OfQcow2TakesTheParentsFormatFromEitherOption) {
  const std::string base = dir_ / "base", child = dir_ / "child.qcow2";
  ASSERT_EQ(create({"-f", "qcow2", base, "5M"}).status, 0);
  ASSERT_EQ(create({"-f", "qcow2", "--parent", base, "-o", "backing_fmt=raw", child}).status, 0);
  EXPECT_EQ(cli({"info", "--json", child}).json().at("parent_format"), "raw");
  std::filesystem::remove(child);
  const Said clash = create(
      {"-f", "qcow2", "--parent", base, "--parent-format=qcow2", "-o", "backing_fmt=raw", child});
  EXPECT_EQ(clash.status, 1);
  EXPECT_NE(clash.err.find("the parent was opened as qcow2"), std::string::npos) << clash.err;
  EXPECT_EQ(create({"-f", "qcow2", "-o", "backing_fmt=no", child, "1M"}).status, 2);
}

TEST(Formats, ListsOnlyVariantsThatCanBeMade) {
  const TempDir dir;
  const auto formats = cli({"formats", "--json"}).json();
  ASSERT_TRUE(formats.is_array());
  ASSERT_FALSE(formats.empty());
  for (const auto& format : formats) {
    for (const char* key : {"name", "extensions", "read", "write", "create", "variants", "diff",
                            "resize", "compact", "check", "repair", "snapshot", "encrypt"}) {
      EXPECT_TRUE(format.contains(key)) << key;
    }
    EXPECT_EQ(format.at("create").get<bool>(), !format.at("variants").empty());
    for (const std::string variant : format.at("variants")) {
      const std::string name = format.at("name");
      const Creatable made{find_format(name), variant};
      const auto said = cli({"create", "-f", name, "-o", made.option_word(), "--key-file",
                             test::key_file_in(dir.path()), dir / (name + variant), "1M"});
      EXPECT_EQ(said.status, 0) << said.err;
    }
  }
}

TEST(Formats, NamesEachFormatInTheTextAndTheMarkdownTable) {
  for (const Format* format : all_formats()) {
    const std::string name(format->name());
    EXPECT_NE(cli({"formats"}).out.find("\n" + name + " "), std::string::npos);
    EXPECT_NE(cli({"formats", "--markdown"}).out.find("| `" + name + "` | "), std::string::npos);
  }
}

}  // namespace
}  // namespace platter
