#include "fusefs/options.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "lib/base/suggest.h"
#include "lib/base/text.h"
#include "lib/image/registry.h"

namespace platter::fusefs {
namespace {

constexpr unsigned kMaxThreads = 256;

// One option and what it does. Behind -o by its name, by itself with two dashes before it.
struct Spec {
  using Apply = Result<void> (*)(MountOptions& options, std::string_view name,
                                 std::string_view value);
  std::string_view name;
  std::string_view value;  // what --help calls it; empty: the option has none
  std::string_view help;   // empty: not listed by itself
  Apply apply;
};

Error invalid_value(std::string_view name, std::string_view value, std::string_view wanted) {
  return Error(Errc::invalid, fmt::format("{}={}: {}", name, value, wanted));
}

// A number of the given base that fits T.
template <class T>
Result<T> number(std::string_view name, std::string_view value, int base = 10) {
  T parsed = 0;
  const char* const end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, parsed, base);
  if (error != std::errc() || stop != end) {
    return invalid_value(name, value, base == 8 ? "is no octal number" : "is no number");
  }
  return parsed;
}

Result<void> accept(MountOptions& /*options*/, std::string_view /*name*/,
                    std::string_view /*value*/) {
  return {};
}

Result<void> pass_on(MountOptions& options, std::string_view name, std::string_view /*value*/) {
  options.kernel.emplace_back(name);
  return {};
}

Result<void> set_format(MountOptions& options, std::string_view name, std::string_view value) {
  if (find_format(value) == nullptr) return invalid_value(name, value, "there is no such format");
  options.container.format = value;
  return {};
}

Result<void> set_snapshot(MountOptions& options, std::string_view name, std::string_view value) {
  if (value.empty()) return invalid_value(name, value, "a name is missing");
  options.container.snapshot = value;
  return {};
}

Result<void> set_overlay(MountOptions& options, std::string_view /*name*/,
                         std::string_view /*value*/) {
  options.overlay = true;
  return {};
}

Result<void> set_overlay_file(MountOptions& options, std::string_view name,
                              std::string_view value) {
  if (value.empty()) return invalid_value(name, value, "a file name is missing");
  options.overlay = true;
  options.overlay_file = value;
  return {};
}

Result<void> set_references(MountOptions& options, std::string_view /*name*/,
                            std::string_view value) {
  options.container.references = TRY(parse_references(value));
  return {};
}

Result<void> set_threads(MountOptions& options, std::string_view name, std::string_view value) {
  options.threads = TRY(number<unsigned>(name, value));
  if (options.threads == 0 || options.threads > kMaxThreads) {
    return invalid_value(name, value, fmt::format("must be 1 to {}", kMaxThreads));
  }
  return {};
}

Result<void> set_cache(MountOptions& options, std::string_view name, std::string_view value) {
  const std::optional<uint64_t> bytes = parse_size(value);
  if (!bytes) return invalid_value(name, value, "is no size (64M, 1G)");
  options.container.cache_bytes = *bytes;
  return {};
}

Result<void> set_cache_image_size(MountOptions& options, std::string_view name,
                                  std::string_view value) {
  const std::optional<uint64_t> bytes = parse_size(value);
  if (!bytes || *bytes < kMinCacheSize || *bytes > kMaxCacheSize) {
    return invalid_value(name, value, "must be a size of 2M to 64G");
  }
  options.container.cache_size = *bytes;
  return {};
}

Result<void> set_file(MountOptions& options, std::string_view name, std::string_view value) {
  if (value.empty()) return invalid_value(name, value, "a file name is missing");
  (name == "log"        ? options.log
   : name == "key-file" ? options.key.file
                        : options.cache_image) = value;
  return {};
}

Result<void> set_key_fd(MountOptions& options, std::string_view /*name*/, std::string_view value) {
  options.key.fd = TRY(parse_key_input({}, std::string(value))).fd;
  return {};
}

Result<void> set_owner(MountOptions& options, std::string_view name, std::string_view value) {
  if (name == "uid") {
    options.ownership.uid = TRY(number<uid_t>(name, value));
  } else {
    options.ownership.gid = TRY(number<gid_t>(name, value));
  }
  return {};
}

Result<void> set_umask(MountOptions& options, std::string_view name, std::string_view value) {
  const mode_t mask = TRY(number<mode_t>(name, value, 8));
  if (mask > 0777) return invalid_value(name, value, "must be 0 to 0777");
  options.ownership.umask = mask;
  return {};
}

Result<void> set_shown(MountOptions& options, std::string_view name, std::string_view value) {
  if (value.empty()) return invalid_value(name, value, "a name is missing");
  (name == "fsname" ? options.fsname : options.subtype) = value;
  return {};
}

Result<void> set_nonempty(MountOptions& options, std::string_view /*name*/,
                          std::string_view /*value*/) {
  options.nonempty = true;
  return {};
}

Result<void> set_allow(MountOptions& options, std::string_view name, std::string_view /*value*/) {
  const std::string_view other = name == "allow_root" ? "allow_other" : "allow_root";
  if (std::find(options.kernel.begin(), options.kernel.end(), other) != options.kernel.end()) {
    return Error(Errc::invalid, "allow_other and allow_root exclude one another");
  }
  return pass_on(options, name, {});
}

Result<void> set_access(MountOptions& options, std::string_view name, std::string_view /*value*/) {
  options.directories_written = name == "rw";
  options.container.access = name == "rw" ? Access::write : Access::read;
  return {};
}

Result<void> set_lock(MountOptions& options, std::string_view name, std::string_view value) {
  if (value != "on" && value != "off" && value != "shared") {
    return invalid_value(name, value, "must be on, off or shared");
  }
  options.container.lock = value == "on";
  options.shared = value == "shared";
  return {};
}

Result<void> set_resize(MountOptions& options, std::string_view /*name*/,
                        std::string_view /*value*/) {
  options.resize = true;
  return {};
}

Result<void> set_direct(MountOptions& options, std::string_view /*name*/,
                        std::string_view /*value*/) {
  options.direct = true;
  return {};
}

Result<void> set_discard(MountOptions& options, std::string_view name, std::string_view value) {
  if (value != "on" && value != "off") return invalid_value(name, value, "must be on or off");
  options.container.writer.discard = value == "on";
  return {};
}

Result<void> set_zeroes(MountOptions& options, std::string_view name, std::string_view value) {
  if (value != "detect" && value != "keep") {
    return invalid_value(name, value, "must be detect or keep");
  }
  options.container.writer.zeroes = value == "keep" ? Zeroes::keep : Zeroes::detect;
  return {};
}

Result<void> set_nofail(MountOptions& options, std::string_view /*name*/,
                        std::string_view /*value*/) {
  options.nofail = true;
  return {};
}

Result<void> refuse_remount(MountOptions& /*options*/, std::string_view /*name*/,
                            std::string_view /*value*/) {
  return Error(Errc::invalid, "remount: a mount stays as it is; unmount, and mount again");
}

constexpr Spec kSpecs[] = {
    {"ro", "", "read-only: nothing of the image changes", set_access},
    {"rw", "", "disks can be written, if the image can be (default, but for a directory)",
     set_access},
    {"format", "NAME", "the image's format, instead of a probe", set_format},
    {"snapshot", "NAME", "this earlier state is the disk", set_snapshot},
    {"overlay", "", "what is written goes to a temporary image, thrown away at the end",
     set_overlay},
    {"overlay", "FILE", "or to this qcow2 image, which is kept; made if missing", set_overlay_file},
    {"references", "none|beside|any", "which files an image may name as parent or data file",
     set_references},
    {"lock", "on|off|shared",
     "keep others from the image; shared: read-only, beside others that write (default: on)",
     set_lock},
    {"discard", "on|off", "discarded space goes back to the host (default: on)", set_discard},
    {"zeroes", "detect|keep", "detect: zeroes written to unused space use none (default: detect)",
     set_zeroes},
    {"resize", "", "truncate and fallocate can make the disk larger", set_resize},
    {"direct", "", "no page cache: several writers at once; no shared mapping that is written",
     set_direct},
    {"key-file", "FILE",
     "all bytes of it are the passphrase of what is encrypted; -: standard input", set_file},
    {"key-fd", "N", "the passphrase is read from this descriptor", set_key_fd},
    {"threads", "N", "how many requests are served at once (default: processors, at least 4)",
     set_threads},
    {"cache", "SIZE", "memory for tables and decompressed blocks (default: 64M)", set_cache},
    {"cache-image", "FILE", "what is read is kept there, for the next mount too; made if missing",
     set_file},
    {"cache-image-size", "SIZE", "the most that file may have (default: what it has, or 1G)",
     set_cache_image_size},
    {"log", "FILE", "messages go there, instead of to syslog", set_file},
    {"uid", "N", "owner of the files (default: the image's)", set_owner},
    {"gid", "N", "group of the files (default: the image's)", set_owner},
    {"umask", "OCTAL", "permissions taken away (default: the image's mode counts)", set_umask},
    {"fsname", "NAME", "what mount tables show as source (default: the image)", set_shown},
    {"subtype", "NAME", "what they show as type, after \"fuse.\" (default: platterfs)", set_shown},
    {"max_threads", "N", "the same as threads", set_threads},
    {"clone_fd", "", "a device descriptor for each thread; always on", accept},
    {"auto_unmount", "", "unmount also when the program is killed", pass_on},
    {"allow_other", "", "other users may look in", set_allow},
    {"allow_root", "", "root may look in", set_allow},
    {"nonempty", "", "mount over a directory that is not empty", set_nonempty},
    {"default_permissions", "", "the kernel checks permissions; always on", accept},
    {"dev", "", "", pass_on},
    {"nodev", "", "", pass_on},
    {"suid", "", "", pass_on},
    {"nosuid", "", "", pass_on},
    {"exec", "", "", pass_on},
    {"noexec", "", "", pass_on},
    {"async", "", "", pass_on},
    {"sync", "", "", pass_on},
    {"dirsync", "", "", pass_on},
    {"atime", "", "", pass_on},
    {"noatime", "", "", pass_on},
    // Of no effect on a disk, whose times are its image's; libfuse does not know them all.
    {"diratime", "", "", accept},
    {"nodiratime", "", "", accept},
    {"relatime", "", "", accept},
    {"norelatime", "", "", accept},
    {"strictatime", "", "", accept},
    {"nostrictatime", "", "", accept},
    {"lazytime", "", "", accept},
    {"nolazytime", "", "", accept},
    {"iversion", "", "", accept},
    {"noiversion", "", "", accept},
    {"mand", "", "", accept},
    {"nomand", "", "", accept},
    {"silent", "", "", accept},
    {"loud", "", "", accept},
    // For mount(8) itself, which hands some of them on.
    {"defaults", "", "", accept},
    {"auto", "", "", accept},
    {"noauto", "", "", accept},
    {"user", "", "", accept},
    {"user", "NAME", "", accept},
    {"nouser", "", "", accept},
    {"users", "", "", accept},
    {"nousers", "", "", accept},
    {"owner", "", "", accept},
    {"noowner", "", "", accept},
    {"group", "", "", accept},
    {"nogroup", "", "", accept},
    {"nofail", "", "", set_nofail},
    {"_netdev", "", "", accept},
    {"comment", "TEXT", "", accept},
    {"remount", "", "", refuse_remount},
};

// For others that read the same table: systemd, desktops.
bool is_comment(std::string_view item) { return item.starts_with("x-") || item.starts_with("X-"); }

Error unknown(std::string_view argument) {
  std::vector<std::string_view> names;
  for (const Spec& spec : kSpecs) names.push_back(spec.name);
  std::string_view word = argument.substr(0, argument.find('='));
  word.remove_prefix(std::min(word.find_first_not_of('-'), word.size()));
  return Error(Errc::invalid, fmt::format("unknown option \"{}\"{} (--help lists them)", argument,
                                          did_you_mean(word, names)));
}

// item: "name" or "name=value"; shown: as the user wrote it.
Result<void> apply(MountOptions& options, std::string_view item, std::string_view shown) {
  const size_t equals = item.find('=');
  const std::string_view name = item.substr(0, equals);
  const bool given = equals != std::string_view::npos;
  const auto* spec = std::find_if(std::begin(kSpecs), std::end(kSpecs), [&](const Spec& s) {
    return s.name == name && s.value.empty() != given;
  });
  if (spec == std::end(kSpecs)) {
    spec = std::find_if(std::begin(kSpecs), std::end(kSpecs),
                        [&](const Spec& s) { return s.name == name; });
  }
  if (spec == std::end(kSpecs)) {
    if (options.sloppy) return {};
    return unknown(shown);
  }
  if (given && spec->value.empty()) {
    return Error(Errc::invalid, fmt::format("option \"{}\" has no value", name));
  }
  if (!given && !spec->value.empty()) {
    return Error(Errc::invalid,
                 fmt::format("option \"{0}\" needs a value: {0}={1}", name, spec->value));
  }
  return spec->apply(options, name, given ? item.substr(equals + 1) : std::string_view());
}

// list: "a,b=c"; a backslash takes the meaning from the comma behind it.
Result<void> apply_list(MountOptions& options, std::string_view list) {
  std::string item;
  for (size_t i = 0; i <= list.size(); ++i) {
    if (i < list.size() && list[i] == '\\' && i + 1 < list.size()) {
      item += list[++i];
    } else if (i < list.size() && list[i] != ',') {
      item += list[i];
    } else {
      if (!item.empty() && !is_comment(item)) TRY(apply(options, item, item));
      item.clear();
    }
  }
  return {};
}

class Parser {
 public:
  Parser(std::span<char* const> arguments, bool sloppy) : arguments_(arguments) {
    options_.sloppy = sloppy;
  }

  Result<MountOptions> run() {
    std::vector<std::string_view> operands;
    bool only_operands = false;
    while (next_ < arguments_.size()) {
      const std::string_view argument = arguments_[next_++];
      if (only_operands || argument.size() < 2 || argument[0] != '-') {
        operands.push_back(argument);
      } else if (argument == "--") {
        only_operands = true;
      } else if (argument[1] == '-') {
        TRY(long_option(argument));
      } else {
        TRY(short_options(argument));
      }
    }
    if (options_.action != MountOptions::Action::mount) return std::move(options_);
    TRY(take(operands));
    // Only read whatever else is said: mount(8) says rw of everything.
    if (options_.shared || !options_.container.snapshot.empty()) {
      options_.container.access = Access::read;
      options_.directories_written = false;
    }
    const bool reads = options_.container.access == Access::read;
    if (!options_.key.file.empty() && options_.key.fd) {
      return Error(Errc::invalid, "key-file and key-fd exclude one another");
    }
    if (!options_.cache_image.empty() && !options_.container.lock) {
      return Error(Errc::invalid, "cache-image: others have to be kept from the image (lock=on)");
    }
    if (options_.overlay && options_.overlay_file.empty() && reads) {
      return Error(Errc::invalid, "overlay: nothing is written with ro, snapshot or lock=shared");
    }
    return std::move(options_);
  }

 private:
  Result<void> long_option(std::string_view argument) {
    const std::string_view name = argument.substr(2);
    if (name == "help") return action(MountOptions::Action::help);
    if (name == "version") return action(MountOptions::Action::version);
    if (name == "foreground") return flag(options_.foreground);
    return apply(options_, name, argument);
  }

  // "-f", "-fs", "-oro", "-o ro".
  Result<void> short_options(std::string_view argument) {
    for (size_t i = 1; i < argument.size(); ++i) {
      switch (argument[i]) {
        case 'f': options_.foreground = true; break;
        case 'd': options_.debug = options_.foreground = true; break;
        case 's': options_.single_thread = true; break;
        case 'r': TRY(apply(options_, "ro", argument)); break;
        case 'h': TRY(action(MountOptions::Action::help)); break;
        case 'V': TRY(action(MountOptions::Action::version)); break;
        case 'o':
          if (i + 1 < argument.size()) return apply_list(options_, argument.substr(i + 1));
          if (next_ == arguments_.size()) return Error(Errc::invalid, "-o needs a list of options");
          return apply_list(options_, arguments_[next_++]);
        default: return unknown(argument);
      }
    }
    return {};
  }

  Result<void> action(MountOptions::Action wanted) {
    if (options_.action == MountOptions::Action::mount) options_.action = wanted;
    return {};
  }
  static Result<void> flag(bool& on) {
    on = true;
    return {};
  }

  Result<void> take(std::span<const std::string_view> operands) {
    if (operands.empty()) return Error(Errc::invalid, "IMAGE and MOUNTPOINT are missing");
    if (operands.size() < 2) return Error(Errc::invalid, "MOUNTPOINT is missing");
    options_.images.assign(operands.begin(), operands.end() - 1);
    options_.mountpoint = operands.back();
    return {};
  }

  std::span<char* const> arguments_;
  size_t next_ = 0;
  MountOptions options_{.container = {.access = Access::write, .lock = true}};
};

}  // namespace

Result<MountOptions> parse_options(std::span<char* const> arguments, bool sloppy) {
  return Parser(arguments, sloppy).run();
}

std::string help_text() {
  std::string text =
      "usage: platterfs [options] IMAGE... MOUNTPOINT\n\n"
      "Shows a disk image as a flat raw file to read and write: MOUNTPOINT/disk.raw, its\n"
      "partitions and, read-only, its earlier states. Several images, or those of a\n"
      "directory, have a directory each.\n\n"
      "    -f, --foreground           stay in the foreground\n"
      "    -d                         the same, and say what happens\n"
      "    -r                         read-only, as -o ro\n"
      "    -s                         one thread\n"
      "    -h, --help                 this text\n"
      "    -V, --version              the version\n"
      "    -o OPTION[,OPTION...]      any of these, which also have a long form "
      "(--format=NAME):\n\n";
  std::string others;
  for (const Spec& spec : kSpecs) {
    const std::string shown =
        fmt::format("{}{}{}", spec.name, spec.value.empty() ? "" : "=", spec.value);
    if (!spec.help.empty()) {
      text += fmt::format("    {:<26} {}\n", shown, spec.help);
    } else if (spec.apply == pass_on) {
      others += fmt::format("{}{}", others.empty() ? "" : " ", spec.name);
    }
  }
  text += "\nand of mount(8): ";
  size_t column = 17;
  for (size_t start = 0; start < others.size();) {
    const size_t end = std::min(others.find(' ', start), others.size());
    if (column + (end - start) > 95) {
      text += "\n    ";
      column = 4;
    }
    text += others.substr(start, end - start) + " ";
    column += end - start + 1;
    start = end + 1;
  }
  text.back() = '\n';
  return text;
}

}  // namespace platter::fusefs
