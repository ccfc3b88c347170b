#include "lib/ops/create.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "lib/ops/reference.h"

namespace platter {

namespace {

constexpr std::string_view kSubformat = "subformat";

template <class Specs>
std::string names_of(const Specs& specs) {
  std::vector<std::string_view> names;
  for (const auto& spec : specs) names.push_back(spec.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

Error unknown_option(const Format& format, std::string_view key) {
  std::string known(format.creatable_variants().empty() ? "" : kSubformat);
  const std::string own = names_of(format.create_options());
  if (!known.empty() && !own.empty()) known += ", ";
  return Error(Errc::invalid, fmt::format("{} has no option \"{}\"; it has {}", format.name(), key,
                                          known.empty() && own.empty() ? "none" : known + own));
}

// Replaces subformat by the option that stands for it.
Result<void> choose_variant(const Format& format, Options& options) {
  const auto node = options.extract(options.find(kSubformat));
  const std::string& wanted = node.mapped();
  const auto variants = format.creatable_variants();
  const auto variant = std::ranges::find(variants, wanted, &CreatableVariant::name);
  if (variant == variants.end()) {
    return Error(Errc::invalid, fmt::format("subformat={}: {} can be made as {}", wanted,
                                            format.name(), names_of(variants)));
  }
  if (variant->option.empty()) return {};
  const auto [own, fresh] = options.try_emplace(std::string(variant->option), variant->value);
  if (fresh || own->second == variant->value) return {};
  return Error(Errc::invalid, fmt::format("subformat={} and {}={} exclude one another", wanted,
                                          variant->option, own->second));
}

}  // namespace

Result<Options> create_options(const Format& format, Options given) {
  if (!format.can_create()) {
    return Error(Errc::invalid, fmt::format("{}: images of this format can only be read, not made",
                                            format.name()));
  }
  const auto specs = format.create_options();
  for (const auto& [key, value] : given) {
    if (key == kSubformat && !format.creatable_variants().empty()) continue;
    if (std::ranges::find(specs, key, &OptionSpec::name) == specs.end()) {
      return unknown_option(format, key);
    }
  }
  if (given.contains(kSubformat)) TRY(choose_variant(format, given));
  return given;
}

// The files an image is made of beside its own. Thread safety: one thread.
class NewImage::Parts final : public NewParts {
 public:
  explicit Parts(const CreateArgs& args)
      : directory_(args.path.substr(0, args.path.rfind('/') + 1)), mode_(args.mode) {}

  Result<FilePtr> make(const std::string& name) override {
    if (name.empty() || name.find('/') != std::string::npos) {
      return Error(Errc::invalid, fmt::format("{}: is no name for a file", name));
    }
    return make_at(directory_ + name);
  }
  Result<FilePtr> make_at(const std::string& path) {
    files_.push_back(TRY(NewFile::begin(path, mode_)));
    return files_.back().file();
  }

  Result<void> publish() {
    for (; published_ < files_.size(); ++published_) TRY(files_[published_].publish());
    return {};
  }
  void withdraw() {
    while (published_ > 0) files_[--published_].withdraw();
  }

 private:
  const std::string directory_;  // with its slash, or empty
  const uint32_t mode_;
  std::vector<NewFile> files_;
  size_t published_ = 0;  // of files_, the first ones
};

NewImage::NewImage(NewFile file, std::unique_ptr<Parts> parts, ImageWriterPtr writer)
    : file_(std::move(file)), parts_(std::move(parts)), writer_(std::move(writer)) {}
NewImage::~NewImage() = default;
NewImage::NewImage(NewImage&& other) noexcept = default;

Result<NewImage> NewImage::begin(const CreateArgs& args) {
  const Options options = TRY(create_options(args.format, args.options));
  if (args.parent && !args.format.can_create_child()) {
    return Error(
        Errc::invalid,
        fmt::format("{}: images of this format cannot be made with a parent", args.format.name()));
  }
  if (args.compress && !args.format.can_compress()) {
    return Error(Errc::invalid, fmt::format("{}: images of this format cannot be made compressed",
                                            args.format.name()));
  }
  NewFile file = TRY(NewFile::begin(args.path, args.mode));
  auto parts = std::make_unique<Parts>(args);
  CreateRequest request{.file = file.file(),
                        .size = args.size,
                        .options = options,
                        .parent = args.parent,
                        .name = args.path.substr(args.path.rfind('/') + 1),
                        .parts = parts.get(),
                        .compress = args.compress,
                        .keys = args.keys};
  for (const OptionSpec& spec : args.format.create_options()) {
    const auto given = options.find(spec.name);
    if (!spec.new_file || given == options.end()) continue;
    const std::string reference = TRY(reference_from(args.path, given->second));
    TRY_IN(given->second, check_reference(reference, args.references));
    request.data_file = {reference, TRY(parts->make_at(given->second))};
  }
  ImageWriterPtr writer = TRY_IN(args.path, args.format.create(request));
  return NewImage(std::move(file), std::move(parts), std::move(writer));
}

Result<void> NewImage::commit() {
  TRY_IN(file_.file()->name(), writer_->finish());
  // The image comes last: it is what names the others.
  Result<void> published = parts_->publish();
  if (published) published = file_.publish();
  if (!published) parts_->withdraw();
  return published;
}

Result<void> create_image(const CreateArgs& args) {
  NewImage image = TRY(NewImage::begin(args));
  return image.commit();
}

}  // namespace platter
