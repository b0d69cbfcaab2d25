-- SQLite builds a temporary table for an IN with more than two values, at every write. The new conditions are equivalent.
ALTER TABLE `calls` DROP CONSTRAINT `calls_status`;--> statement-breakpoint
ALTER TABLE `calls` ADD CONSTRAINT "calls_status" CHECK(("calls"."status" = 'initiated' OR "calls"."status" = 'connecting' OR "calls"."status" = 'ringing' OR "calls"."status" = 'active' OR "calls"."status" = 'completed' OR "calls"."status" = 'failed' OR "calls"."status" = 'cancelled' OR "calls"."status" = 'no_answer' OR "calls"."status" = 'busy'));--> statement-breakpoint
ALTER TABLE `calls` DROP CONSTRAINT `calls_direction`;--> statement-breakpoint
ALTER TABLE `calls` ADD CONSTRAINT "calls_direction" CHECK(("calls"."direction" = 'inbound' OR "calls"."direction" = 'outbound'));--> statement-breakpoint
ALTER TABLE `calls` DROP CONSTRAINT `calls_ended_at_is_set_exactly_when_ended`;--> statement-breakpoint
ALTER TABLE `calls` ADD CONSTRAINT "calls_ended_at_is_set_exactly_when_ended" CHECK(("calls"."ended_at" IS NOT NULL) = ("calls"."status" = 'completed' OR "calls"."status" = 'failed' OR "calls"."status" = 'cancelled' OR "calls"."status" = 'no_answer' OR "calls"."status" = 'busy'));--> statement-breakpoint
ALTER TABLE `room_deletions` DROP CONSTRAINT `room_deletions_state`;--> statement-breakpoint
ALTER TABLE `room_deletions` ADD CONSTRAINT "room_deletions_state" CHECK(("room_deletions"."state" = 'available' OR "room_deletions"."state" = 'running' OR "room_deletions"."state" = 'retryable' OR "room_deletions"."state" = 'completed' OR "room_deletions"."state" = 'discarded'));--> statement-breakpoint
ALTER TABLE `room_deletions` DROP CONSTRAINT `room_deletions_finalized_at_is_set_exactly_when_final`;--> statement-breakpoint
ALTER TABLE `room_deletions` ADD CONSTRAINT "room_deletions_finalized_at_is_set_exactly_when_final" CHECK(("room_deletions"."finalized_at" IS NULL) = ("room_deletions"."state" = 'available' OR "room_deletions"."state" = 'running' OR "room_deletions"."state" = 'retryable'));--> statement-breakpoint
ALTER TABLE `audit_log` DROP CONSTRAINT `audit_log_actor`;--> statement-breakpoint
ALTER TABLE `audit_log` ADD CONSTRAINT "audit_log_actor" CHECK(("audit_log"."actor" = 'api_key' OR "audit_log"."actor" = 'operator' OR "audit_log"."actor" = 'livekit' OR "audit_log"."actor" = 'reconciler'));--> statement-breakpoint
DROP INDEX `calls_live_room_name`;--> statement-breakpoint
CREATE UNIQUE INDEX `calls_live_room_name` ON `calls` (`room_name`) WHERE "calls"."ended_at" IS NULL;--> statement-breakpoint
DROP INDEX `room_deletions_due`;--> statement-breakpoint
CREATE INDEX `room_deletions_due` ON `room_deletions` (`scheduled_at`) WHERE "room_deletions"."finalized_at" IS NULL;
