ALTER TABLE `livekit_servers` ADD `last_served_at` integer DEFAULT 0 NOT NULL;--> statement-breakpoint
UPDATE `livekit_servers` SET `last_served_at` = `first_served_at`;--> statement-breakpoint
-- Before 0005 it was not written down: calls that are not the demonstration's are people's.
INSERT INTO `livekit_servers` (`url`, `first_served_at`) SELECT 'unrecorded', 0 WHERE NOT EXISTS (SELECT 1 FROM `livekit_servers`) AND EXISTS (SELECT 1 FROM `calls` JOIN `organizations` ON `organizations`.`id` = `calls`.`organization_id` WHERE `organizations`.`name` <> 'demo');
