"""The tax engines that come with the platform, a module for each; `settings.TAX_ENGINES` names them."""
