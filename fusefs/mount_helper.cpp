#include "fusefs/mount_helper.h"

#include <getopt.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace platter::fusefs {
namespace {

constexpr ExitStatuses kOfPlatterfs = {.usage = 2, .failure = 1, .permission = 1, .system = 1};
// mount(8), section EXIT STATUS.
constexpr ExitStatuses kOfMount = {.usage = 1, .failure = 32, .permission = 1, .system = 2};

std::string helper_help() {
  return "usage: mount.platter [options] IMAGE MOUNTPOINT\n\n"
         "What mount -t platter runs; platterfs does the same with options of its own.\n\n"
         "    -o OPTION[,OPTION...]      those of platterfs and of mount(8)\n"
         "    -s                         pass over options that are not known\n"
         "    -f                         only check the options and the mountpoint\n"
         "    -v                         say what is mounted where\n"
         "    -n                         nothing: no table of mounts is written anyway\n"
         "    -t TYPE                    nothing: the type is known\n"
         "    -h, --help                 this text\n"
         "    -V, --version              the version\n";
}

// The words of mount(8) in those of platterfs.
class HelperWords {
 public:
  Result<MountOptions> parse(int argc, char** argv) {
    TRY(read(argc, argv));
    std::vector<char*> words(words_.size());
    for (size_t i = 0; i < words.size(); ++i) words[i] = words_[i].data();
    MountOptions options = TRY(parse_options(words, sloppy_));
    options.verbose = verbose_;
    // mount(8) says rw of whatever is not said to be ro.
    options.directories_written = false;
    if (options.action != MountOptions::Action::mount) return options;
    if (options.images.size() > 1) {
      return Error(Errc::invalid, fmt::format("\"{}\" is one argument too many: IMAGE MOUNTPOINT",
                                              options.mountpoint));
    }
    if (fake_) options.action = MountOptions::Action::check;
    // What mount(8) does itself where it mounts a device.
    const bool missing = access(options.images.front().c_str(), F_OK) != 0 && errno == ENOENT;
    if (options.nofail && missing) options.action = MountOptions::Action::nothing;
    return options;
  }

 private:
  Result<void> read(int argc, char** argv) {
    static const std::array<option, 3> long_options = {{
        {"help", no_argument, nullptr, 'h'},
        {"version", no_argument, nullptr, 'V'},
        {},
    }};
    opterr = 0;
    for (int found = 0;
         (found = getopt_long(argc, argv, ":sfvnhVt:o:", long_options.data(), nullptr)) != -1;) {
      TRY(take(found, argv));
    }
    words_.emplace_back("--");
    words_.insert(words_.end(), argv + optind, argv + argc);
    return {};
  }

  Result<void> take(int found, char** argv) {
    switch (found) {
      case 's': sloppy_ = true; break;
      case 'f': fake_ = true; break;
      case 'v': verbose_ = true; break;
      case 'n':
      case 't': break;
      case 'h': words_.emplace_back("-h"); break;
      case 'V': words_.emplace_back("-V"); break;
      case 'o': words_.insert(words_.end(), {"-o", optarg}); break;
      case ':': return Error(Errc::invalid, fmt::format("{} needs a value", argv[optind - 1]));
      default:
        return Error(Errc::invalid,
                     fmt::format("unknown option \"{}\" (--help lists them)", argv[optind - 1]));
    }
    return {};
  }

  std::vector<std::string> words_;
  bool sloppy_ = false, fake_ = false, verbose_ = false;
};

}  // namespace

int ExitStatuses::of(const Error& error) const {
  switch (error.sys_errno()) {
    case EPERM:
    case EACCES: return permission;
    case ENOMEM:
    case EAGAIN:
    case EMFILE:
    case ENFILE: return system;
    default: return failure;
  }
}

Call call_of(int argc, char** argv) {
  std::string_view name = argc > 0 ? argv[0] : "";
  name.remove_prefix(name.rfind('/') + 1);
  if (name == "mount.platter") return {HelperWords().parse(argc, argv), kOfMount, helper_help};
  const auto words = std::span(argv, static_cast<size_t>(argc)).subspan(argc > 0 ? 1 : 0);
  return {parse_options(words), kOfPlatterfs, help_text};
}

}  // namespace platter::fusefs
