"""`local` (the embedded platform) and `platform` (self-hosting). Both run the platform as a process."""
