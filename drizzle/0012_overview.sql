-- For a search by the last digits of a phone number. drizzle-kit splits the expression at its commas.
CREATE INDEX `calls_by_phone_end` ON `calls` (`organization_id`, substr(`phone_number`, -1, 1) || substr(`phone_number`, -2, 1) || substr(`phone_number`, -3, 1) || substr(`phone_number`, -4, 1) || substr(`phone_number`, -5, 1) || substr(`phone_number`, -6, 1) || substr(`phone_number`, -7, 1) || substr(`phone_number`, -8, 1) || substr(`phone_number`, -9, 1) || substr(`phone_number`, -10, 1) || substr(`phone_number`, -11, 1) || substr(`phone_number`, -12, 1) || substr(`phone_number`, -13, 1) || substr(`phone_number`, -14, 1) || substr(`phone_number`, -15, 1), `created_at`, `id`) WHERE "calls"."phone_number" IS NOT NULL;
--> statement-breakpoint
-- For lists of deletions.
CREATE INDEX `room_deletions_incomplete_by_created` ON `room_deletions` (`created_at`,`call_id`) WHERE "room_deletions"."state" <> 'completed';
