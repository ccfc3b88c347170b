// Programs of others, built against what `cmake --install` puts on a machine.
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/packaging/private_system.h"

namespace platter::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

const std::string kExample = std::string(PLATTER_SOURCE_DIR) + "/tests/packaging/example/";

// An installation below a directory of its own, and where programs that use it are made.
class Library : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = new TempDir;
    install_below("/", dir() / "platter");
    for (const auto& entry : fs::recursive_directory_iterator(dir() / "platter")) {
      if (entry.path().filename() == "libplatter.so") libraries_ = entry.path().parent_path();
    }
    ASSERT_NE(libraries_, "");
  }
  static void TearDownTestSuite() { delete dir_; }
  static const TempDir& dir() { return *dir_; }

  // What a program says that is run in a directory of its own.
  static std::string run_in_place(const std::string& program) {
    const TempDir work;
    const Outcome outcome = run({"env", "LD_LIBRARY_PATH=" + libraries_, program, work.path()});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    return outcome.out;
  }
  // The words of a command's output, each an argument.
  static std::vector<std::string> pkg_config(const std::string& what) {
    const Outcome outcome =
        run({"sh", "-c", "PKG_CONFIG_PATH=" + libraries_ + "/pkgconfig pkg-config " + what});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    std::istringstream words(outcome.out);
    return {std::istream_iterator<std::string>(words), {}};
  }

  static std::string libraries_;  // the directory they are in

 private:
  static TempDir* dir_;
};
std::string Library::libraries_;
TempDir* Library::dir_ = nullptr;

constexpr const char* kSays = "2 images, 8388608 bytes\nthe copy is the same\n";

TEST_F(Library, AProgramIsBuiltWithWhatPkgConfigSays) {
  std::vector<std::string> command = {
      "g++",     "-std=c++20", "-Wall",     "-Wextra",
      "-Werror", "-o",         dir() / "p", kExample + "example.cpp"};
  for (const std::string& word : pkg_config("--cflags --libs platter")) command.push_back(word);
  const Outcome built = run(command);
  ASSERT_EQ(built.status, 0) << built.err;
  EXPECT_EQ(run_in_place(dir() / "p"), kSays);
}

TEST_F(Library, CMakeFindsTheSharedLibraryAndTheStaticOne) {
  const std::string build = dir() / "build";
  const Outcome configured =
      run({"cmake", "-S", kExample, "-B", build, "-DCMAKE_PREFIX_PATH=" + (dir() / "platter")});
  ASSERT_EQ(configured.status, 0) << configured.out << configured.err;
  const Outcome built = run({"cmake", "--build", build, "--parallel", "2"});
  ASSERT_EQ(built.status, 0) << built.out << built.err;
  EXPECT_EQ(run_in_place(build + "/example_platter"), kSays);
  EXPECT_EQ(run_in_place(build + "/example_static"), kSays);
  EXPECT_EQ(run({"ldd", build + "/example_static"}).out.find("libplatter"), std::string::npos);
}

TEST_F(Library, PythonCallsItThroughCtypes) {
  const TempDir work;
  const Outcome outcome =
      run({"python3", kExample + "example.py", libraries_ + "/libplatter.so", work.path()});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("2 images, 8388608 bytes\npython\nvmdk\n/no/such/image: "));
}

TEST_F(Library, ItsHeaderIsPlainC) {
  write_file(dir() / "c.c", std::string_view("#include <platter.h>\n"
                                             "int main(void) { return platter_count(0) != 0; }\n"));
  std::vector<std::string> command = {"gcc",     "-std=c99", "-pedantic", "-Wall",      "-Wextra",
                                      "-Werror", "-o",       dir() / "c", dir() / "c.c"};
  for (const std::string& word : pkg_config("--cflags --libs platter")) command.push_back(word);
  const Outcome built = run(command);
  ASSERT_EQ(built.status, 0) << built.err;
  run_in_place(dir() / "c");
}

// What others could come to lean on: nothing but what the headers promise, under its version.
TEST_F(Library, ShowsWhatItsHeadersPromiseAndNothingElse) {
  const Outcome symbols = run({"nm", "-D", "-C", "--defined-only", libraries_ + "/libplatter.so"});
  ASSERT_EQ(symbols.status, 0) << symbols.err;
  std::istringstream lines(symbols.out);
  size_t count = 0;
  for (std::string line; std::getline(lines, line);) {
    ++count;
    EXPECT_TRUE(line.find("PLATTER_0.1") != std::string::npos) << line;
    EXPECT_EQ(line.find("Stack"), std::string::npos) << line;
    EXPECT_EQ(line.find("Queue"), std::string::npos) << line;
  }
  EXPECT_GT(count, 60U);
  EXPECT_THAT(symbols.out, HasSubstr("platter_open_chain@@PLATTER_0.1"));
  EXPECT_THAT(symbols.out, HasSubstr("platter::VirtualDisk::read("));
  const Outcome name = run({"objdump", "-p", libraries_ + "/libplatter.so"});
  EXPECT_THAT(name.out, HasSubstr("SONAME               libplatter.so.0.1"));
}

}  // namespace
}  // namespace platter::test
