from config.settings.local import *  # noqa: F403
