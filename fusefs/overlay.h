// The qcow2 image that takes what is written, so that the mounted one stays as it is.
#pragma once

#include "fusefs/options.h"

namespace platter::fusefs {

// The passphrases of an overlay and of what it lies on.
class OverlayKeys final : public KeySource {
 public:
  // source: outlives it.
  explicit OverlayKeys(KeySource& source) : source_(source) {}
  // The image of this name gets a key nobody else has.
  void make_own(std::string image);
  Result<Bytes> passphrase(std::string_view image) override;

 private:
  KeySource& source_;
  std::string image_;
  Secret own_;
};

// The file the options name, which is made if it is missing and may be (Access::write); or one
// without a name in $TMPDIR (else /var/tmp), which goes with the last descriptor of it, however the
// program ends. Over an encrypted disk it is encrypted: the kept one by the same passphrase.
// image: what it lies over.
Result<Overlay> open_overlay(const MountOptions& options, const std::string& image, Access access,
                             OverlayKeys& keys);

}  // namespace platter::fusefs
