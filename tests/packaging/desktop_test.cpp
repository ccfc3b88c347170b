// What file managers know of disk images.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/packaging/private_system.h"

namespace platter::test {
namespace {

using testing::HasSubstr;

class Desktop : public testing::Test {
 protected:
  Desktop() {
    install_below(dir_ / "root", "/usr");
    const Outcome made = run_here({"update-mime-database", share_ + "/mime"});
    EXPECT_EQ(made.status, 0);
    EXPECT_EQ(made.out + made.err, "");
  }

  // With the types that are installed here and no others.
  Outcome run_here(std::vector<std::string> command) const {
    command.insert(command.begin(), {"env", "XDG_DATA_DIRS=" + share_, "XDG_DATA_HOME=" + share_});
    return run(command);
  }
  std::string type_of(const std::string& path) const {
    const Outcome asked = run_here({"gio", "info", "-a", "standard::content-type", path});
    EXPECT_EQ(asked.status, 0) << asked.err;
    const std::string key = "standard::content-type: ";
    const size_t start = asked.out.find(key) + key.size();
    return asked.out.substr(start, asked.out.find('\n', start) - start);
  }
  std::string create(const std::string& format, const std::string& name) const {
    std::vector<std::string> command = {program("platter"), "create", "-q", "-f", format};
    if (format == "luks")
      command.insert(command.end(), {"--key-file", "/etc/hostname", "-oiter-time=10"});
    command.insert(command.end(), {dir_ / name, "1M"});
    const Outcome created = run(command);
    EXPECT_EQ(created.status, 0) << created.err;
    return dir_ / name;
  }

  const TempDir dir_;
  const std::string share_ = dir_ / "root/usr/share";
};

TEST_F(Desktop, TheEntryIsValid) {
  const Outcome valid = run({"desktop-file-validate", share_ + "/applications/platter.desktop"});
  EXPECT_EQ(valid.status, 0);
  EXPECT_EQ(valid.out + valid.err, "");
}

TEST_F(Desktop, AnImageOfEachFormatHasATypeThatTheEntryOpens) {
  const std::string entry = read_file(share_ + "/applications/platter.desktop");
  const auto formats = nlohmann::json::parse(run({program("platter"), "formats", "--json"}).out);
  for (const auto& format : formats) {
    const std::string name = format["name"];
    if (!format["create"]) continue;  // it is below, by its name
    // Raw disks are known by their names alone, the others by what is in them.
    const std::string type = type_of(create(name, name == "raw" ? "a.img" : name + "-image"));
    EXPECT_THAT(entry, HasSubstr(type + ";")) << name;
  }
}

TEST_F(Desktop, AnyOtherFileHasTheTypeOfItsExtension) {
  const std::pair<const char*, const char*> types[] = {
      {"a.qcow2", "application/x-qemu-disk"},     {"a.qcow", "application/x-qemu-disk"},
      {"a.vdi", "application/x-vdi-disk"},        {"a.luks", "application/x-luks-disk"},
      {"a.dmg", "application/x-apple-diskimage"}, {"a.ova", "application/ovf"},
      {"a.dd", "application/x-raw-disk-image"},   {"a.vmdk", "application/x-vmdk-disk"},
      {"a.vhd", "application/x-vhd-disk"},        {"a.vhdx", "application/x-vhdx-disk"},
      {"a.avhdx", "application/x-vhdx-disk"}};
  for (const auto& [name, type] : types) {
    write_file(dir_ / name, std::string_view("any text"));
    EXPECT_EQ(type_of(dir_ / name), type);
  }
}

}  // namespace
}  // namespace platter::test
