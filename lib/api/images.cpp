#include <platter/images.h>

#include <algorithm>
#include <array>
#include <cctype>

#include <nlohmann/json.hpp>

#include "lib/api/request.h"
#include "lib/base/text.h"
#include "lib/container/archive_path.h"
#include "lib/image/registry.h"
#include "lib/ops/check.h"
#include "lib/ops/child.h"
#include "lib/ops/compare.h"
#include "lib/ops/convert.h"
#include "lib/ops/info.h"
#include "lib/ops/source_disk.h"

namespace platter {
namespace {

FormatFacts facts_of(const Format& format) {
  FormatFacts facts{.name = std::string(format.name()),
                    .read = true,
                    .write = format.can_write(),
                    .create = format.can_create(),
                    .child = format.can_create_child(),
                    .resize = format.can_resize(),
                    .compact = format.can_compact(),
                    .check = format.can_check(),
                    .repair = format.can_repair(),
                    .snapshot = format.can_snapshot(),
                    .encrypt = format.can_encrypt()};
  for (const std::string_view extension : format.extensions()) {
    facts.extensions.emplace_back(extension);
  }
  for (const CreatableVariant& variant : format.creatable_variants()) {
    facts.variants.emplace_back(variant.name);
  }
  return facts;
}

VirtualDisk::Kind kind_of(std::string_view path) {
  std::string extension(path.substr(path.rfind('.') + 1));
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  constexpr std::array<std::string_view, 3> kDvds = {"iso", "cdr", "dmg"};
  constexpr std::array<std::string_view, 3> kFloppies = {"ima", "flp", "vfd"};
  if (std::ranges::count(kDvds, extension) != 0) return VirtualDisk::Kind::dvd;
  if (std::ranges::count(kFloppies, extension) != 0) return VirtualDisk::Kind::floppy;
  return VirtualDisk::Kind::hard_disk;
}

struct Opened {
  api::Passphrases keys;
  std::unique_ptr<Container> container;
};

Result<std::unique_ptr<Opened>> open_to_read(const OpenImage& image) {
  auto opened = std::make_unique<Opened>();
  opened->keys = api::Passphrases(image);
  opened->container = TRY(Container::open(image.path, api::options_to_read(image, &opened->keys)));
  return opened;
}

}  // namespace

std::vector<FormatFacts> formats() {
  std::vector<FormatFacts> all;
  for (const Format* const format : all_formats()) all.push_back(facts_of(*format));
  std::ranges::sort(all, {}, &FormatFacts::name);
  return all;
}

Result<FormatFacts> format_named(std::string_view name) {
  return facts_of(*TRY(api::format_of(std::string(name))));
}

Result<ProbedFormat> probe_format(const std::string& path) {
  const FilePtr file = TRY(PosixFile::open(path));
  const Probed probed = TRY(probe(*file));
  return ProbedFormat{
      .name = std::string(probed.format->name()), .guessed = probed.guessed, .kind = kind_of(path)};
}

Result<std::string> describe_image(const OpenImage& image, bool chain) {
  if (const ArchivePtr archive = TRY(archive_at(image.path, find_format(image.format)))) {
    return TRY(describe_archive(image.path, *archive)).dump(2);
  }
  const auto container = TRY(Container::open(
      image.path,
      {.format = image.format, .references = api::policy_of(image.references), .parents = chain}));
  return TRY(describe({.container = *container, .chain = chain})).dump(2);
}

Result<void> copy_image(const OpenImage& source, const NewImageOf& target,
                        const CopyOptions& options, const OnProgress& progress) {
  const Format& format = *TRY(api::format_of(target.format));
  const auto from = TRY(open_to_read(source));
  const Options own = TRY(api::options_of(target, format));
  api::Passphrases keys;
  keys.add(target.path, target.passphrase);
  ConvertArgs args{.sources = {from->container->live()},
                   .target = {.path = target.path,
                              .format = format,
                              .size = std::max(target.size, from->container->live()->size()),
                              .options = own,
                              .references = api::policy_of(target.references),
                              .keys = keys.empty() ? nullptr : &keys},
                   .threads = api::threads_of(options.threads)};
  if (options.compress) args.target.compress = Effort::usual;
  std::unique_ptr<Opened> parent;
  if (!options.parent.empty()) {
    args.target.parent = TRY(describe_parent({.path = options.parent,
                                              .format = options.parent_format,
                                              .references = args.target.references,
                                              .child = target.path,
                                              .child_format = &format}))
                             .link;
    parent = TRY(open_to_read({.path = options.parent,
                               .format = options.parent_format,
                               .references = target.references,
                               .passphrase = source.passphrase}));
    args.parent = parent->container->live();
  }
  api::Asked asked(progress);
  TRY(convert(args, asked));
  return api::set_new_metadata(target);
}

Result<std::optional<uint64_t>> compare_images(const OpenImage& a, const OpenImage& b,
                                               const OnProgress& progress) {
  const auto first = TRY(open_to_read(a));
  const auto second = TRY(open_to_read(b));
  api::Asked asked(progress);
  return TRY(compare({.a = first->container->live(),
                      .b = second->container->live(),
                      .threads = api::threads_of(0)},
                     asked))
      .first_difference;
}

Result<CheckFacts> check_image(const OpenImage& image, RepairWhat repair) {
  Repair how = Repair::none;
  if (repair == RepairWhat::leaks) how = Repair::leaks;
  if (repair == RepairWhat::everything) how = Repair::all;
  CheckReport report =
      TRY(check_image(CheckArgs{.path = image.path, .format = image.format, .repair = how}));
  return CheckFacts{.errors = report.corruptions,
                    .leaks = report.leaks,
                    .repaired = report.repaired,
                    .messages = std::move(report.messages)};
}

}  // namespace platter
